"""Create, change, regenerate, revoke, over HTTP on both databases: what comes of each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import select
from tests.api_keys.people import People, Speaker
from tests.usage.world import Clock, World

from aitbc import keyformat
from aitbc_server.audit.model import AuditEventRow
from aitbc_server.clock import US_PER_S, from_ms

DAY_S = 24 * 3600


def later(clock: Clock, seconds: float) -> str:
    return (clock.timestamp() + timedelta(seconds=seconds)).isoformat()


async def test_a_new_key_has_its_defaults_and_works(manager: Speaker, clock: Clock) -> None:
    """Design 4: environment of the caller, preset client, no expiry; the whole key is in this answer."""
    made = await manager.make()
    key = made.pop("key")
    assert keyformat.parse(key)
    assert key.startswith(f"aitbc_live_{made['id'].removeprefix('key_')}_")
    assert made == {
        "id": made["id"],
        "name": "made",
        "masked": f"aitbc_live_{made['id'].removeprefix('key_')}_…{key[-4:]}",
        "environment": "live",
        "preset": "client",
        "scopes": ["jobs:read", "jobs:write", "usage:read"],
        "tenant_id": "acme",
        "tenant_ids": [],
        "status": "active",
        "created_at": clock.timestamp().text(),
        "created_by": manager.key.id,
        "expires_at": None,
        "last_used_at": None,
        "last_used_ip": None,
        "allowed_ips": [],
        "limit_per_minute": None,
        "metadata": {},
        "secret_created_at": clock.timestamp().text(),
        "previous_secret": None,
    }
    assert await manager.works(key) == 200
    shown = (await manager("GET", f"/v1/api-keys/{made['id']}")).json()
    assert "key" not in shown


async def test_every_field_is_kept_and_normalised(manager: Speaker, clock: Clock) -> None:
    """What was asked for is what is shown, in one spelling."""
    made = await manager.make(
        name="Überwachung 😀",
        scopes=["usage:read", "jobs:read", "usage:read"],
        expires_at=later(clock, DAY_S),
        allowed_ips=["192.0.2.0/24", "2001:DB8::/32", "192.0.2.7", "192.0.2.7/32"],
        limit_per_minute=60,
        metadata={"team": ["a", {"b": None}]},
    )
    assert made["preset"] is None
    assert made["scopes"] == ["jobs:read", "usage:read"]
    assert made["expires_at"] == from_ms(clock.now_us // 1000 + DAY_S * 1000).text()
    assert made["allowed_ips"] == ["192.0.2.0/24", "2001:db8::/32", "192.0.2.7/32"]
    assert made["metadata"] == {"team": ["a", {"b": None}]}


async def test_a_change_touches_what_is_given_and_nothing_else(manager: Speaker, clock: Clock) -> None:
    """PATCH: absent stays, null clears; new scopes end the preset."""
    made = await manager.make(expires_at=later(clock, DAY_S), limit_per_minute=5)
    path = f"/v1/api-keys/{made['id']}"
    del made["key"]
    changed = await manager("PATCH", path, {"name": "renamed"})
    assert changed.status_code == 200
    assert changed.json() == {**made, "name": "renamed"}
    cleared = (await manager("PATCH", path, {"expires_at": None, "limit_per_minute": None})).json()
    assert cleared == {**made, "name": "renamed", "expires_at": None, "limit_per_minute": None}
    scoped = (await manager("PATCH", path, {"scopes": ["jobs:read"], "metadata": {"a": 1}})).json()
    assert (scoped["scopes"], scoped["preset"], scoped["metadata"]) == (["jobs:read"], None, {"a": 1})
    assert (await manager("GET", path)).json() == scoped


async def test_changes_work_at_once(manager: Speaker) -> None:
    """A disabled key stops, an enabled one goes on, a removed scope is gone: with the next request."""
    made = await manager.make()
    path, key = f"/v1/api-keys/{made['id']}", made["key"]
    assert await manager.works(key) == 200
    assert (await manager("PATCH", path, {"enabled": False})).json()["status"] == "disabled"
    refused = await manager.client.get("/v1/api-keys/self", headers={"X-API-Key": key})
    assert (refused.status_code, refused.json()["code"]) == (401, "disabled_api_key")
    assert (await manager("PATCH", path, {"enabled": True})).json()["status"] == "active"
    assert (await manager.client.get("/v1/jobs", headers={"X-API-Key": key})).status_code == 200
    await manager("PATCH", path, {"scopes": ["usage:read"]})
    assert (await manager.client.get("/v1/jobs", headers={"X-API-Key": key})).status_code == 403


async def test_revoking_is_final_and_idempotent(manager: Speaker, clock: Clock) -> None:
    """Nothing brings a revoked key back: change, enable and regenerate answer 409; revoke answers 200 again."""
    made = await manager.make()
    path = f"/v1/api-keys/{made['id']}"
    assert (await manager("POST", f"{path}/revoke")).json()["status"] == "revoked"
    refused = await manager.client.get("/v1/api-keys/self", headers={"X-API-Key": made["key"]})
    assert (refused.status_code, refused.json()["code"]) == (401, "revoked_api_key")
    clock.now_us += US_PER_S
    again = await manager("POST", f"{path}/revoke")
    assert (again.status_code, again.json()["status"]) == (200, "revoked")
    for method, where, body in (
        ("PATCH", path, {"name": "x"}),
        ("PATCH", path, {"enabled": True}),
        ("PATCH", path, {"enabled": False}),
        ("POST", f"{path}/regenerate", {}),
    ):
        answer = await manager(method, where, body)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_a_revoked_key_shows_no_older_secret(manager: Speaker) -> None:
    """Its grace period ended with the key: nothing says that a secret goes on."""
    made = await manager.make()
    path = f"/v1/api-keys/{made['id']}"
    renewed = await manager("POST", f"{path}/regenerate", {"grace_period_seconds": 86_400})
    assert renewed.json()["previous_secret"] is not None
    assert (await manager("POST", f"{path}/revoke")).json()["previous_secret"] is None
    assert (await manager("GET", path)).json()["previous_secret"] is None
    listed = (await manager("GET", "/v1/api-keys", params={"status": "revoked"})).json()["items"]
    assert [each["previous_secret"] for each in listed] == [None]
    assert await manager.works(made["key"]) == 401


async def test_an_expired_key_gets_a_new_expiry_and_works_again(manager: Speaker, clock: Clock) -> None:
    """Expiry is no end: whoever may change the key can move it."""
    made = await manager.make(expires_at=later(clock, 60))
    clock.now_us += 60 * US_PER_S
    refused = await manager.client.get("/v1/api-keys/self", headers={"X-API-Key": made["key"]})
    assert (refused.status_code, refused.json()["code"]) == (401, "expired_api_key")
    path = f"/v1/api-keys/{made['id']}"
    assert (await manager("GET", path)).json()["status"] == "expired"
    assert (await manager("PATCH", path, {"expires_at": later(clock, 60)})).json()["status"] == "active"
    assert await manager.works(made["key"]) == 200


async def test_regenerating_without_grace_stops_the_old_secret_now(manager: Speaker) -> None:
    """The same id, another secret; the body may be left out."""
    made = await manager.make()
    answer = await manager("POST", f"/v1/api-keys/{made['id']}/regenerate")
    new = answer.json()
    assert (answer.status_code, new["id"], new["previous_secret"]) == (200, made["id"], None)
    assert new["key"] != made["key"]
    assert (await manager.works(made["key"]), await manager.works(new["key"])) == (401, 200)


async def test_two_secrets_live_while_rotating_and_never_three(manager: Speaker, clock: Clock) -> None:
    """Design 4: the old secret goes on for the grace period; regenerating again kills the older at once."""
    made = await manager.make()
    assert await manager.works(made["key"]) == 200
    path = f"/v1/api-keys/{made['id']}/regenerate"
    second = (await manager("POST", path, {"grace_period_seconds": 600})).json()
    ends = from_ms(clock.now_us // 1000 + 600_000).text()
    assert second["previous_secret"] == {"expires_at": ends, "last_used_at": clock.timestamp().text()}
    jobs = [
        (await manager.client.get("/v1/jobs", headers={"X-API-Key": key})).status_code
        for key in (made["key"], second["key"])
    ]
    assert jobs == [200, 200]
    third = (await manager("POST", path, {"grace_period_seconds": 600})).json()
    assert await manager.works(made["key"]) == 401
    assert await manager.works(third["key"]) == 200
    clock.now_us += 600 * US_PER_S
    expired = await manager.client.get("/v1/jobs", headers={"X-API-Key": second["key"]})
    assert (expired.status_code, expired.json()["code"]) == (401, "expired_api_key")
    assert (await manager("GET", f"/v1/api-keys/{made['id']}")).json()["previous_secret"] is None


async def test_a_new_secret_works_at_once_beside_a_guesser(world: World, people: People) -> None:
    """Its first use is no guess, though its address sent too many wrong keys. ASVS 6.1.1."""
    world.settings = msgspec.structs.replace(world.settings, max_failures_per_minute=1)
    unknown = keyformat.build("live", "0" * 12, "0" * 43)
    async with world.server() as client:
        manager = Speaker(client, people.manager)
        assert [await manager.works(text) for text in (people.manager.text, unknown, unknown)] == [200, 401, 429]
        made = await manager.make()
        assert await manager.works(made["key"]) == 200
        again = (await manager("POST", f"/v1/api-keys/{made['id']}/regenerate", {})).json()
        assert await manager.works(again["key"]) == 200
        assert await manager.works(unknown) == 429


async def test_a_disabled_key_is_regenerated_and_stays_disabled(manager: Speaker) -> None:
    """A new secret is no way around being disabled."""
    made = await manager.make()
    await manager("PATCH", f"/v1/api-keys/{made['id']}", {"enabled": False})
    new = (await manager("POST", f"/v1/api-keys/{made['id']}/regenerate", {})).json()
    assert new["status"] == "disabled"
    assert await manager.works(new["key"]) == 401


async def test_each_change_has_one_audit_row_without_secrets(manager: Speaker, world: World) -> None:
    """Design 7: who, what, before and after in the change's own transaction; what changes nothing leaves no row."""
    made = await manager.make()
    path = f"/v1/api-keys/{made['id']}"
    await manager("PATCH", path, {"name": "renamed"})
    await manager("PATCH", path, {"name": "renamed"})
    new = (await manager("POST", f"{path}/regenerate", {"grace_period_seconds": 60})).json()
    await manager("POST", f"{path}/revoke")
    await manager("POST", f"{path}/revoke")
    async with world.database.read() as session:
        rows = list(
            await session.scalars(
                select(AuditEventRow).where(AuditEventRow.tenant_id == "acme").order_by(AuditEventRow.sequence)
            )
        )
    assert [row.action for row in rows] == [
        "api_key.created",
        "api_key.updated",
        "api_key.regenerated",
        "api_key.revoked",
    ]
    assert {(row.actor_id, row.target_id) for row in rows} == {(manager.key.id, made["id"])}
    assert (rows[1].before, rows[1].after) == ({"name": "made"}, {"name": "renamed"})
    assert set(rows[2].after) == {"masked", "previous_secret"}
    # The older secret ended with it.
    assert rows[3].after == {"status": "revoked", "previous_secret": None}
    for row in rows:
        text = f"{row.before}{row.after}"
        assert made["key"][24:-4] not in text
        assert new["key"][24:-4] not in text


WRONG_VALUES: list[tuple[dict[str, Any], str]] = [
    ({}, "name"),
    ({"name": ""}, "name"),
    ({"name": "x" * 101}, "name"),
    ({"name": "  "}, "name"),
    ({"name": "a\nb"}, "name"),
    ({"name": "a\x1b[31m"}, "name"),
    ({"name": "a\u202eb"}, "name"),
    ({"name": 5}, "name"),
    ({"name": "a", "surprise": 1}, "surprise"),
    ({"name": "a", "preset": "admin"}, "preset"),
    ({"name": "a", "environment": "Live"}, "environment"),
    ({"name": "a", "preset": "client", "scopes": ["jobs:read"]}, "scopes"),
    ({"name": "a", "scopes": []}, "scopes"),
    ({"name": "a", "scopes": ["Jobs:read"]}, "scopes.0"),
    ({"name": "a", "scopes": ["jobs:read", 1]}, "scopes.1"),
    ({"name": "a", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ({"name": "a", "expires_at": "2999-01-01T00:00:00"}, "expires_at"),
    ({"name": "a", "expires_at": "9999-12-31T23:59:59-23:00"}, "expires_at"),
    ({"name": "a", "expires_at": 1}, "expires_at"),
    ({"name": "a", "allowed_ips": ["192.0.2.1/24"]}, "allowed_ips.0"),
    ({"name": "a", "allowed_ips": ["192.0.2.0/24", "300.1.1.1"]}, "allowed_ips.1"),
    ({"name": "a", "allowed_ips": ["::ffff:192.0.2.1"]}, "allowed_ips.0"),
    ({"name": "a", "allowed_ips": ["fe80::1%eth0"]}, "allowed_ips.0"),
    ({"name": "a", "allowed_ips": "192.0.2.1"}, "allowed_ips"),
    ({"name": "a", "limit_per_minute": 0}, "limit_per_minute"),
    ({"name": "a", "limit_per_minute": "5"}, "limit_per_minute"),
    ({"name": "a", "limit_per_minute": 6001}, "limit_per_minute"),
    ({"name": "a", "metadata": []}, "metadata"),
    ({"name": "a", "metadata": {"a": "\x00"}}, "metadata"),
    ({"name": "a", "metadata": {"a": "x" * (16 * 1024)}}, "metadata"),
]


async def test_a_value_that_is_not_right_names_its_field(manager: Speaker) -> None:
    """ASVS 2.2.1: 422, the field's dotted path, nothing made; the same on create and on change."""
    target = await manager.make()
    path = f"/v1/api-keys/{target['id']}"
    del target["key"]
    for body, field in WRONG_VALUES:
        made = await manager("POST", "/v1/api-keys", body)
        assert (made.status_code, [error["field"] for error in made.json()["errors"]]) == (422, [field]), body
        change = body if field == "name" else {name: value for name, value in body.items() if name != "name"}
        if change and not {"preset", "environment"} & set(change):
            changed = await manager("PATCH", path, change)
            assert (changed.status_code, [error["field"] for error in changed.json()["errors"]]) == (422, [field]), body
    assert (await manager("GET", path)).json() == target
    assert len((await manager("GET", "/v1/api-keys", params={"q": target["id"]})).json()["items"]) == 1


async def test_messages_say_what_to_write_instead(manager: Speaker) -> None:
    """A newcomer reads them and knows: the right network, the plan's limit, the scopes that there are."""
    for fields, words in (
        ({"allowed_ips": ["192.0.2.1/24"]}, "the network is 192.0.2.0/24"),
        ({"limit_per_minute": 6001}, "must be at most 6000, the limit of the tenant's plan"),
        ({"scopes": ["jobs:reed"]}, "must be one of jobs:read, jobs:write, miners:read"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "must lie in the future"),
        ({"metadata": {"a": "x" * 16384}}, "is 16392 bytes as JSON; 16384 are allowed"),
    ):
        answer = await manager("POST", "/v1/api-keys", {"name": "a", **fields})
        assert words in answer.json()["detail"]


async def test_a_grace_period_is_up_to_seven_days(manager: Speaker) -> None:
    """Whole seconds from 0 to 7 days; everything else is 422 and changes nothing."""
    made = await manager.make()
    for seconds in (-1, 7 * DAY_S + 1, 1.5, "60", None):
        answer = await manager("POST", f"/v1/api-keys/{made['id']}/regenerate", {"grace_period_seconds": seconds})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "grace_period_seconds")
    assert await manager.works(made["key"]) == 200
