"""The device's side: it asks, it waits as long as it is told, it collects one key (RFC 8628)."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from tests.device.conftest import AUTHORIZE, BROWSER, TOKEN, House
from tests.support.installation import HOME, STRANGER

from aitbc.schemas.device import CLIENT_ID, GRANT_TYPE
from aitbc.schemas.scopes import PRESET_SCOPES, Environment, Preset
from aitbc_server.actor import operator
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.audit.model import AuditEventRow
from aitbc_server.device import repository
from aitbc_server.mail.model import MailRow
from aitbc_server.tenants.model import TenantRow
from aitbc_server.users.model import MembershipRow, SessionRow, UserRow
from aitbc_server.users.roles import Role

OPERATOR = operator("disable-user", "operator")


async def test_a_person_approves_and_the_device_collects(house: House) -> None:
    """The key is the person's, for the tenant, preset and environment that they chose, for 90 days, named after the
    host; it works at once. (Design section 10, ASVS 10.7.2)
    """
    ada = await house.person()
    begun = await house.begin(client_name="laptop")
    assert await house.polled(begun) == (400, "authorization_pending")
    assert await house.keys() == []
    await house.approve(ada, begun, preset=Preset.CLIENT, environment=Environment.TEST)
    assert await house.keys() == [], "not before it is collected"
    answer = await house.poll(begun)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    token = answer.json()
    [row] = await house.keys()
    assert (row.tenant_id, row.environment, row.preset, row.name, row.created_by) == (
        HOME,
        "test",
        "client",
        "laptop",
        ada.user_id,
    )
    assert row.expires_at == house.after(timedelta(days=90))
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 90 * 86400)
    assert set(token["scope"].split()) == PRESET_SCOPES[Preset.CLIENT]
    self_ = await house.client.get("/v1/api-keys/self", headers={"Authorization": f"Bearer {token['access_token']}"})
    used = {"last_used_at", "last_used_ip"}
    shown = self_.json()["key"]
    assert {name: shown[name] for name in shown if name not in used} == {
        name: value for name, value in token["api_key"].items() if name not in used
    }


async def test_what_is_begun(house: House) -> None:
    """Two codes for ten minutes, a page to type one, an address with it, and an interval (RFC 8628, 3.2)."""
    begun = await house.begin()
    assert (begun["expires_in"], begun["interval"]) == (600, 5)
    assert begun["verification_uri"].endswith("/device")
    assert begun["verification_uri_complete"] == f"{begun['verification_uri']}?code={begun['user_code']}"
    another = await house.begin()
    assert len({begun["user_code"], begun["device_code"], another["user_code"], another["device_code"]}) == 4


async def test_a_copy_of_the_database_holds_no_code(house: House) -> None:
    """Both are kept as keyed digests: 34 bits would be found from a plain one in a second (ASVS 6.5.2)."""
    begun = await house.begin()
    stored = (house.installation.settings.data_dir / "aitbc.db").read_bytes()
    stored += (house.installation.settings.data_dir / "aitbc.db-wal").read_bytes()
    for code in (begun["user_code"], begun["user_code"].replace("-", ""), begun["device_code"]):
        assert code.encode() not in stored
        assert hashlib.sha256(code.encode()).digest() not in stored


async def test_who_asks_too_often_is_told_to_slow_down(house: House) -> None:
    """The interval grows by five seconds each time, for this and all later questions (RFC 8628, 3.5)."""
    begun = await house.begin()
    assert await house.polled(begun) == (400, "authorization_pending")
    assert await house.polled(begun) == (400, "slow_down")
    house.turn(6)
    assert await house.polled(begun) == (400, "slow_down"), "ten seconds by now"
    house.turn(15)
    assert await house.polled(begun) == (400, "authorization_pending")


async def test_an_approved_key_is_not_withheld_from_who_asks_early(house: House) -> None:
    """Nothing is gained by another wait."""
    ada = await house.person()
    begun = await house.begin()
    await house.polled(begun)
    await house.approve(ada, begun)
    assert await house.polled(begun) == (200, None)


async def test_a_key_is_collected_once(house: House) -> None:
    """ASVS 6.5.1: the code is good for one key, whoever comes again."""
    begun = await house.begin()
    await house.approve(await house.person(), begun)
    assert await house.polled(begun) == (200, None)
    assert await house.polled(begun) == (400, "invalid_grant")
    assert len(await house.keys()) == 1


async def test_two_that_collect_at_once_get_one_key(house: House) -> None:
    """ASVS 2.3.4, 15.4.2: the sign-in is held while its key is made."""
    begun = await house.begin()
    await house.approve(await house.person(), begun)
    answers = await asyncio.gather(*(house.poll(begun) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200, *[400] * 7]
    assert len(await house.keys()) == 1


async def test_after_ten_minutes_it_is_over(house: House) -> None:
    """ASVS 6.5.5: for a person, and for a device, approved or not."""
    ada = await house.person()
    begun, approved = await house.begin(), await house.begin()
    await house.approve(ada, approved)
    house.turn(600)
    for each in (begun, approved):
        assert await house.polled(each) == (400, "expired_token")
    assert await house.keys() == []


async def test_a_denied_sign_in_gets_nothing(house: House) -> None:
    """Then and later."""
    ada = await house.person()
    begun = await house.begin()
    grant_id = await house.consents.enter(ada, begun["user_code"], BROWSER)
    await house.consents.deny(ada, grant_id)
    assert await house.polled(begun) == (400, "access_denied")
    assert await house.polled(begun) == (400, "access_denied")


@pytest.mark.parametrize("code", ["x", "x" * 43, "x" * 65, "\u0430" * 10])
async def test_unknown_codes_get_nothing(house: House, code: str) -> None:
    """Whatever their form."""
    await house.begin()
    assert await house.polled({"device_code": code}) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (UserRow, {"disabled_at": True}),
        (MembershipRow, {"role": Role.VIEWER}),
        (SessionRow, {"last_seen_at": False}),
    ],
)
async def test_what_changed_since_the_approval_counts(house: House, table: type, values: dict[str, object]) -> None:
    """ASVS 7.4.2, 8.3.2: a person who was disabled or may do less by now, or whose session is over, gives no key."""
    begun = await house.begin()
    await house.approve(await house.person(), begun)
    now = house.after(timedelta())
    old = house.after(timedelta(days=-1))
    await house.change(table, **{name: {True: now, False: old}.get(value, value) for name, value in values.items()})  # type: ignore[call-overload]
    assert await house.polled(begun) == (400, "access_denied")
    assert await house.keys() == []


@pytest.mark.parametrize("table", [SessionRow, MembershipRow])
async def test_who_left_or_ended_their_sessions_gives_no_key(house: House, table: type) -> None:
    """ASVS 7.4.1: to end one's sessions, after a password leaked, ends what was approved in them."""
    begun = await house.begin()
    await house.approve(await house.person(), begun)
    await house.empty(table)
    assert await house.polled(begun) == (400, "access_denied")
    assert await house.keys() == []


async def test_the_key_works_as_long_as_the_account_does(house: House) -> None:
    """ASVS 7.4.2, 8.3.2: refused while the account is disabled, whatever is done to the key; revoked with it."""
    ada = await house.person()
    begun = await house.begin()
    await house.approve(ada, begun)
    text = (await house.poll(begun)).json()["access_token"]
    [row] = await house.keys()
    manager = {"X-API-Key": (await house.installation.add_key(HOME)).text}
    path, accounts = f"/v1/api-keys/key_{row.kid}", house.accounts()
    administration = accounts.administration

    async def code() -> str | None:
        """With what the key is refused; None where it is not."""
        answer = await house.client.get("/v1/api-keys/self", headers={"X-API-Key": text})
        return None if answer.status_code == 200 else str(answer.json()["code"])

    async def switch(enabled: bool) -> int:
        """Another key enables or disables it."""
        return (await house.client.patch(path, json={"enabled": enabled}, headers=manager)).status_code

    assert await code() is None
    await administration.disable(OPERATOR, "ada@example.com")
    assert await code() == "disabled_api_key"
    for status, found in (("disabled", [f"key_{row.kid}"]), ("active", [])):
        listed = await house.client.get(f"/v1/api-keys?status={status}&q={row.kid}", headers=manager)
        assert [key["id"] for key in listed.json()["items"]] == found
    assert await switch(True) == 409
    await administration.enable(OPERATOR, "ada@example.com")
    assert await code() is None
    assert await switch(False) == 200
    for step in (administration.disable, administration.enable):
        await step(OPERATOR, "ada@example.com")
        assert await code() == "disabled_api_key", "what was done to the key itself stays"
    assert await switch(True) == 200
    assert await code() is None
    await accounts.own.delete(await house.session_of(ada.user_id), BROWSER)
    assert await code() == "revoked_api_key"


async def test_it_is_recorded_and_told(house: House) -> None:
    """ASVS 16.2.1, 6.3.7: the approval and the key stand in the tenant's audit log, and the person gets a mail."""
    ada = await house.person()
    begun = await house.begin(client_name="laptop")
    await house.approve(ada, begun)
    token = (await house.poll(begun)).json()
    async with house.units.read() as session:
        events = list(await session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence)))
        [mail] = await session.scalars(select(MailRow))
    assert [event.action for event in events] == ["device_sign_in.approved", "api_key.created"]
    assert {(event.tenant_id, event.actor_id, event.actor_name) for event in events} == {
        (HOME, ada.user_id, "ada@example.com")
    }
    assert [event.client_ip for event in events] == ["192.0.2.9", "192.0.2.1"]
    assert events[0].after == {
        "client_name": "laptop",
        "client_ip": "192.0.2.1",
        "environment": "live",
        "preset": "manager",
    }
    assert (mail.recipient, mail.kind) == ("ada@example.com", "new_key_by_device")
    assert token["access_token"] not in str([(event.before, event.after) for event in events])


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"client_id": ""}, "invalid_request"),
        ({"client_id": "another"}, "invalid_client"),
        ({"client_id": CLIENT_ID, "client_name": "x" * 101}, "invalid_request"),
        ({"client_id": CLIENT_ID, "client_name": "a\nb"}, "invalid_request"),
        ({"client_id": CLIENT_ID, "client_name": "abc\u202edef"}, "invalid_request"),
        ({"client_id": CLIENT_ID, "client_name": "   "}, "invalid_request"),
        ({"client_id": CLIENT_ID, "preset": "gateway"}, "invalid_request"),
        ({"client_id": CLIENT_ID, "preset": "owner"}, "invalid_request"),
        ({"client_id": CLIENT_ID, "environment": "staging"}, "invalid_request"),
        ({"client_id": CLIENT_ID, "tenant_id": "../x"}, "invalid_request"),
        ({"client_id": [CLIENT_ID, CLIENT_ID]}, "invalid_request"),
    ],
)
async def test_wrong_beginnings(house: House, form: dict[str, str], error: str) -> None:
    """RFC 6749, 3.2 and 5.2: each is told apart, and nothing is begun."""
    answer = await house.client.post(AUTHORIZE, data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["content-type"] == "application/json"
    assert await house.grants() == []


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"client_id": CLIENT_ID, "device_code": "x"}, "invalid_request"),
        (
            {"grant_type": "password", "client_id": CLIENT_ID, "username": "a"},
            "unsupported_grant_type",
        ),
        ({"grant_type": "client_credentials", "client_id": CLIENT_ID}, "unsupported_grant_type"),
        ({"grant_type": GRANT_TYPE, "device_code": "x"}, "invalid_request"),
        ({"grant_type": GRANT_TYPE, "client_id": "x", "device_code": "x"}, "invalid_client"),
        ({"grant_type": GRANT_TYPE, "client_id": CLIENT_ID}, "invalid_request"),
        ({"grant_type": GRANT_TYPE, "client_id": CLIENT_ID, "device_code": ["x", "x"]}, "invalid_request"),
    ],
)
async def test_wrong_questions(house: House, form: dict[str, str], error: str) -> None:
    """ASVS 10.4.4: one grant, for one client."""
    answer = await house.client.post(TOKEN, data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


@pytest.mark.parametrize("path", [AUTHORIZE, TOKEN])
@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"json": {"client_id": CLIENT_ID}}, 400),
        ({"content": b""}, 400),
        ({"content": b"client_id=%ff", "headers": {"content-type": "application/x-www-form-urlencoded"}}, 400),
        ({"content": b"a=1&" * 200, "headers": {"content-type": "application/x-www-form-urlencoded"}}, 400),
        ({"content": b"a" * 9000, "headers": {"content-type": "application/x-www-form-urlencoded"}}, 400),
        ({"content": b"a" * 2_000_000, "headers": {"content-type": "application/x-www-form-urlencoded"}}, 413),
    ],
)
async def test_what_is_no_form(house: House, path: str, options: dict[str, object], status: int) -> None:
    """The answer is OAuth's, whatever was sent (design section 5)."""
    answer = await house.client.post(path, **options)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["error"]) == (status, "invalid_request")
    assert sorted(answer.json()) == ["error", "error_description"]


async def test_a_failure_of_the_database_is_told_in_the_same_shape(house: House) -> None:
    """ASVS 16.5.1, 16.5.3: no key, and nothing of the inside."""
    async with house.units.begin() as unit:
        await unit.session.execute(text("ALTER TABLE device_grants RENAME TO gone"))
        await unit.commit()
    answer = await house.client.post(AUTHORIZE, data={"client_id": CLIENT_ID})
    assert answer.status_code in {500, 503}
    assert answer.json()["error"] in {"server_error", "temporarily_unavailable"}
    assert "gone" not in answer.text


async def test_one_address_does_not_begin_without_end(house: House) -> None:
    """ASVS 2.4.1: ten sign-ins a minute; who waits is let in."""
    for _ in range(10):
        await house.begin()
    answer = await house.client.post(AUTHORIZE, data={"client_id": CLIENT_ID})
    assert (answer.status_code, answer.json()["error"]) == (429, "slow_down")
    house.turn(int(answer.headers["retry-after"]))
    await house.begin()


async def test_one_address_does_not_ask_without_end(house: House) -> None:
    """ASVS 2.4.1."""
    statuses = [(await house.polled({"device_code": "x"}))[0] for _ in range(125)]
    assert (statuses.count(400), statuses.count(429)) == (120, 5)


async def test_a_tenant_that_was_suspended_gives_no_working_key(house: House) -> None:
    """A key of a suspended tenant is refused like every other of its keys."""
    begun = await house.begin()
    await house.approve(await house.person(**{STRANGER: Role.OWNER}), begun, tenant=STRANGER)
    await house.change(TenantRow, suspended_at=house.after(timedelta()))
    answer = await house.poll(begun)
    key = answer.json()["access_token"]
    refused = await house.client.get("/v1/jobs", headers={"X-API-Key": key})
    assert (refused.status_code, refused.json()["code"]) == (403, "tenant_suspended")


async def test_a_tenant_with_all_the_keys_that_it_may_have_gets_no_more(house: House) -> None:
    """The command line says why, and what to do."""
    begun = await house.begin()
    await house.approve(await house.person(), begun)
    at = house.installation.clock.timestamp()
    parts = {"environment": "live", "name": "a", "scopes": [], "allowed_ips": [], "metadata_": {}, "last4": "abcd"}
    secret = {"digest": bytes(32), "pepper_version": "x", "created_at": at, "secret_created_at": at}
    async with house.units.begin() as unit:
        unit.session.add_all(
            ApiKeyRow(kid=f"{number:012}", tenant_id=HOME, **parts, **secret) for number in range(1000)
        )
        await unit.commit()
    answer = await house.poll(begun)
    assert (answer.status_code, answer.json()["error"]) == (400, "access_denied")
    assert answer.json()["error_description"].startswith("There are 1000 API keys already")
    assert await house.keys() == []


async def test_old_sign_ins_are_forgotten(house: House) -> None:
    """A day after they expired."""
    await house.begin()
    async with house.units.begin() as unit:
        await repository.remove_expired(unit.session, house.after(timedelta()))
        await unit.commit()
    assert len(await house.grants()) == 1
    async with house.units.begin() as unit:
        await repository.remove_expired(unit.session, house.after(timedelta(minutes=11)))
        await unit.commit()
    assert await house.grants() == []
