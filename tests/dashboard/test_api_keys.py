"""The API Keys pages as people without JavaScript use them: make, find, change, regenerate, revoke."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx2
import msgspec
import pytest
from tests.dashboard.conftest import People
from tests.support.browser import Browser, Page
from tests.support.installation import HOME, STRANGER, Installation
from tests.support.people import sign_in

from aitbc import keyformat
from aitbc.schemas.scopes import Scope

DAY_US = timedelta(days=1) // timedelta(microseconds=1)


def key_in(page: Page) -> str:
    """The whole key on the page that shows it once."""
    [key] = {page.text[start:end] for start, end in keyformat.scan(page.text)}
    return key


async def make(browser: Browser, **fields: object) -> tuple[str, str]:
    """A new key, as the form makes it: its path and its text."""
    page = await browser.submit(await browser.get("/api-keys/new"), "/api-keys/new", **{"name": "made", **fields})
    assert page.status == 200, page.text
    text = key_in(page)
    parts = keyformat.parse(text)
    assert parts is not None
    return f"/api-keys/key_{parts.kid}", text


async def works(client: httpx2.AsyncClient, key: str) -> int:
    """The status that a key of the preset client gets."""
    return (await client.get("/v1/jobs", headers={"X-API-Key": key})).status_code


async def test_a_person_makes_a_key_and_it_works(people: People, client: httpx2.AsyncClient) -> None:
    """The path that is the product: the empty page, the form, the key, the first call, the list."""
    browser = await people("owner")
    empty = await browser.get("/api-keys")
    assert "No API keys yet" in empty.text
    assert "/api-keys/new" in empty.links
    path, key = await make(browser, name="Billing service")
    assert await works(client, key) == 200
    answer = await client.get("/v1/api-keys/self", headers={"X-API-Key": key})
    made = answer.json()["key"]
    assert (made["name"], made["preset"], made["environment"], made["expires_at"]) == (
        *("Billing service", "client", "live"),
        None,
    )
    assert made["created_by"] == "usr_owner"
    listed = await browser.get("/api-keys")
    assert path in listed.links
    assert "by owner@example.com" in listed.text
    assert made["masked"] in listed.text


async def test_the_key_is_shown_once(people: People) -> None:
    """ASVS 14.3.2: with a word that says so, and on no other page, nor kept by the browser."""
    browser = await people("owner")
    page = await browser.submit(await browser.get("/api-keys/new"), "/api-keys/new", name="once")
    key = key_in(page)
    assert page.answer.headers["cache-control"] == "no-store"
    assert "It will not be shown again" in page.text
    assert f"export AITBC_API_KEY={key}" in page.ids["export"]
    assert f"-H 'X-API-Key: {key}'" in page.ids["curl"]
    assert page.ids["key"].strip() == key
    [stored] = [link for link in page.links if link.startswith("/api-keys/key_")]
    for other in ("/api-keys", stored, f"{stored}/edit", f"{stored}/regenerate", f"{stored}/revoke"):
        assert key not in (await browser.get(other)).answer.text


async def test_a_form_that_is_sent_again_makes_no_second_key(people: People) -> None:
    """A reload of the page that showed the key: it is not shown again, and nothing is made."""
    browser = await people("owner")
    form = await browser.get("/api-keys/new")
    first = await browser.submit(form, "/api-keys/new", name="once")
    again = await browser.submit(form, "/api-keys/new", name="once")
    assert "shown once already" in again.text
    assert not list(keyformat.scan(again.text))
    assert key_in(first)
    listed = await browser.get("/api-keys")
    assert len([link for link in listed.links if link.startswith("/api-keys/key_")]) == 1


async def test_everything_of_a_key_can_be_chosen(people: People, client: httpx2.AsyncClient) -> None:
    """Environment, single scopes, expiry, addresses, limit."""
    browser = await people("admin")
    _, key = await make(
        browser,
        environment="test",
        access="custom",
        scopes=["jobs:read", "miners:read"],
        expires_at="90",
        allowed_ips="192.0.2.0/24\r\n2001:db8::/32, 192.0.2.0/24",
        limit_per_minute="30",
    )
    made = (await client.get("/v1/api-keys/self", headers={"X-API-Key": key})).json()["key"]
    assert (made["environment"], made["preset"], made["scopes"]) == ("test", None, ["jobs:read", "miners:read"])
    assert made["allowed_ips"] == ["192.0.2.0/24", "2001:db8::/32"]
    assert made["limit_per_minute"] == 30
    assert made["expires_at"] == "2027-02-22T05:46:30.000Z"


@pytest.mark.parametrize(
    ("field", "typed", "message"),
    [
        ("name", {"name": "  "}, "The name is missing; say what the key is for."),
        ("name", {"name": "a\u202eb"}, "control"),
        ("name", {"name": "x" * 101}, "at most 100"),
        ("environment", {"environment": "prod"}, "must be one of live, test"),
        ("access", {"access": "boss"}, "must be one of client, miner, manager, gateway"),
        ("scopes", {"access": "custom"}, "choose at least one"),
        ("scopes", {"access": "custom", "scopes": ["jobs:burn"]}, "must be one of"),
        ("expires_at", {"expires_at": "date", "expires_on": "2020-01-01"}, "Choose a day that is not over yet."),
        ("expires_at", {"expires_at": "date", "expires_on": "soon"}, "Choose the day after which the key stops."),
        ("expires_at", {"expires_at": "12"}, "one of those in the list"),
        ("allowed_ips", {"allowed_ips": "10.0.0.1/8"}, "“10.0.0.1/8” has bits set beyond its prefix"),
        ("allowed_ips", {"allowed_ips": "192.0.2.1\nx\n::1 y"}, "“x” is neither an address nor a network"),
        ("allowed_ips", {"allowed_ips": "192.0.2.1\nx\n::1 y"}, "“y” is neither an address nor a network"),
        ("allowed_ips", {"allowed_ips": "a b c d"}, "1 more is not right either."),
        ("limit_per_minute", {"limit_per_minute": "many"}, "whole number"),
        ("limit_per_minute", {"limit_per_minute": "0"}, "at least 1"),
        ("limit_per_minute", {"limit_per_minute": "9999999"}, "must be at most 1000000"),
    ],
)
async def test_what_is_wrong_is_said_beside_the_field(
    people: People, field: str, typed: dict[str, object], message: str
) -> None:
    """ASVS 2.2.1: 422, with what was typed still there, the field marked and tied to its message; nothing is made."""
    browser = await people("owner")
    values = {"name": "Something", "limit_per_minute": "7", **typed}
    page = await browser.submit(await browser.get("/api-keys/new"), "/api-keys/new", **values)
    assert page.status == 422
    assert message.lower() in page.ids[f"{field}-error"].lower()
    assert f"#{field}" in page.links
    [described] = [a for _, a in page.elements if f"{field}-error" in a.get("aria-describedby", "").split()]
    assert described.get("name", field) == field or described.get("id") == field or not described.get("name")
    again = dict(page.form("/api-keys/new").fields)
    for name, value in values.items():
        if isinstance(value, str) and name not in {"environment", "access", "expires_at"}:
            assert again[name] == value
    assert "No API keys yet" in (await browser.get("/api-keys")).text


@pytest.mark.parametrize("edit", [False, True])
async def test_everything_that_is_wrong_is_said_at_once(people: People, edit: bool) -> None:
    """In sentences and by the names that the form has, each leading to its field; nothing of the API's shows."""
    browser = await people("owner")
    path = f"{(await make(browser))[0]}/edit" if edit else "/api-keys/new"
    typed = {
        "name": " ",
        "allowed_ips": "here",
        "limit_per_minute": "9999999",
        "expires_at": "date",
        "expires_on": "2020-01-01",
    }
    page = await browser.submit(await browser.get(path), path, **typed)
    assert page.status == 422
    assert {f"#{field}" for field in ("name", "allowed_ips", "limit_per_minute", "expires_at")} <= set(page.links)
    assert "Some things need another look." in page.text
    assert "The key's own limit must be at most 1000000, the limit of the tenant's plan." in page.text
    assert not [each for each in ("Allowed ips", "Limit per minute", "Expires at", "2026-11-24T") if each in page.text]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=a>', "{{ 7 * 7 }}", "&lt;b&gt;"])
async def test_a_keys_name_is_text_everywhere(people: People, name: str) -> None:
    """ASVS 1.2.1: on the list, its own pages, in forms and words to say, whatever it is called."""
    browser = await people("owner")
    path, _ = await make(browser, name=name)
    for where in ("/api-keys", path, f"{path}/edit", f"{path}/regenerate", f"{path}/revoke", f"/api-keys?q={name[:3]}"):
        page = await browser.get(where)
        assert page.status == 200
        assert not [a for tag, a in page.elements if tag == "img" or (tag == "script" and not a.get("src"))]
        if "edit" in where:
            assert dict(page.form(f"{path}/edit").fields)["name"] == name
        else:
            assert name in page.text or where.endswith("regenerate")


async def test_keys_are_found(people: People, installation: Installation) -> None:
    """Search and filters, and a way on through many; what finds nothing says so."""
    browser = await people("viewer")
    for number in range(30):
        installation.clock.now_us += 1_000_000
        await installation.add_key(HOME, "test" if number == 0 else "live", scopes=[Scope.JOBS_READ])
    await installation.add_key(HOME, enabled=False)
    await installation.add_key(STRANGER)
    first = await browser.get("/api-keys")
    assert len(keys_on(first)) == 25
    [older] = [link for link in first.links if "cursor=" in link]
    second = await browser.get(older)
    assert len(keys_on(second)) == 6
    assert not keys_on(first) & keys_on(second)
    assert "/api-keys" in second.links
    assert len(keys_on(await browser.get("/api-keys?status=disabled"))) == 1
    assert len(keys_on(await browser.get("/api-keys?environment=test&q=&status="))) == 1
    kid = next(iter(keys_on(second))).removeprefix("/api-keys/key_")
    assert keys_on(await browser.get(f"/api-keys?q={kid}")) == {f"/api-keys/key_{kid}"}
    nothing = await browser.get("/api-keys?q=nothing+of+that")
    assert "No key matches" in nothing.text
    assert dict(nothing.form("/api-keys").fields)["q"] == "nothing of that"
    assert (await browser.get("/api-keys?status=broken")).status == 422
    assert (await browser.get("/api-keys?cursor=made-up")).status == 400


def keys_on(page: Page) -> set[str]:
    """The paths of the keys in the list."""
    return {link for link in page.links if re.fullmatch(r"/api-keys/key_\w+", link)}


async def test_an_old_secret_is_marked(people: People, installation: Installation) -> None:
    """After 90 days, on the list and on the key's page; not before."""
    browser = await people("owner")
    path, _ = await make(browser)
    installation.clock.now_us += 90 * DAY_US
    browser = await people("owner")
    assert "Over 90 days" not in (await browser.get("/api-keys")).text
    installation.clock.now_us += 1_000
    for where in ("/api-keys", path):
        assert "Over 90 days" in (await browser.get(where)).text


async def test_two_that_edit_a_key_at_once(people: People) -> None:
    """Each changes what they changed, and nothing else: a page that was open for long does not widen a key again."""
    path, _ = await make(await people("owner"))
    edit = f"{path}/edit"
    browser, other = await people("owner"), await people("admin")
    opened = await browser.get(edit)
    narrowed = await other.submit(await other.get(edit), edit, scopes=["jobs:read"], allowed_ips="192.0.2.0/24")
    assert narrowed.status == 303
    wrong = await browser.submit(opened, edit, name="")
    assert wrong.status == 422
    assert (await browser.submit(wrong, edit, name="renamed")).status == 303
    fields = (await browser.get(edit)).form(edit).fields
    assert dict(fields)["name"] == "renamed"
    assert dict(fields)["allowed_ips"] == "192.0.2.0/24"
    assert [value for name, value in fields if name == "scopes"] == ["jobs:read"]
    sent = {"csrf": dict(fields)["csrf"], "name": "x", "scopes": "jobs:read", "expires_at": "keep"}
    assert (await browser.post(edit, sent)).status == 400, "not the form that the page has"


async def test_a_key_is_changed(people: People, client: httpx2.AsyncClient) -> None:
    """What is changed changes, at once; what is not stays, its preset and its expiry too."""
    browser = await people("owner")
    path, key = await make(browser, expires_at="date", expires_on="2030-01-31", allowed_ips="192.0.2.0/24")
    edit = f"{path}/edit"
    page = await browser.submit(await browser.get(edit), edit, name="renamed")
    assert "The changes are saved." in (await browser.follow(page)).text
    shown = (await client.get("/v1/api-keys/self", headers={"X-API-Key": key})).json()["key"]
    assert (shown["name"], shown["preset"], shown["expires_at"], shown["allowed_ips"]) == (
        *("renamed", "client", "2030-01-31T23:59:59.999Z"),
        ["192.0.2.0/24"],
    )
    await browser.submit(await browser.get(edit), edit, scopes=["jobs:read"], expires_at="never", allowed_ips="")
    shown = (await client.get("/v1/api-keys/self", headers={"X-API-Key": key})).json()["key"]
    assert (shown["scopes"], shown["preset"], shown["expires_at"], shown["allowed_ips"]) == (
        *(["jobs:read"], None, None),
        [],
    )
    wrong = await browser.submit(await browser.get(edit), edit, name="", limit_per_minute="5")
    assert (wrong.status, "name-error" in wrong.ids) == (422, True)
    assert dict(wrong.form(edit).fields)["limit_per_minute"] == "5"


async def test_a_key_is_disabled_and_enabled(people: People, client: httpx2.AsyncClient) -> None:
    """At once, both ways."""
    browser = await people("owner")
    path, key = await make(browser)
    shown = await browser.follow(await browser.submit(await browser.get(path), f"{path}/disable"))
    assert "The key is disabled." in shown.text
    assert await works(client, key) == 401
    await browser.submit(shown, f"{path}/enable")
    assert await works(client, key) == 200
    # The word is said once.
    assert "The key is disabled." not in (await browser.get(path)).text


async def test_a_secret_is_regenerated_with_a_grace_period(
    people: People, client: httpx2.AsyncClient, installation: Installation
) -> None:
    """Both work; the page says whether the old one is still used, and stops saying so when it has ended."""
    browser = await people("owner")
    path, old = await make(browser)
    installation.clock.now_us += 60_000_000
    regenerate = f"{path}/regenerate"
    page = await browser.submit(await browser.get(regenerate), regenerate, grace_period_seconds="3600")
    new = key_in(page)
    assert "The old secret goes on until" in page.text
    assert (await works(client, old), await works(client, new)) == (200, 200)
    assert "Something still uses the old secret" in (await browser.get(path)).text
    installation.clock.now_us += 3_600_000_000
    assert (await works(client, old), await works(client, new)) == (401, 200)
    assert "still uses the old secret" not in (await browser.get(path)).text


async def test_nothing_uses_the_old_secret_any_more(people: People, installation: Installation) -> None:
    """Then the page says so, too."""
    browser = await people("owner")
    path, _ = await make(browser)
    installation.clock.now_us += 60_000_000
    regenerate = f"{path}/regenerate"
    await browser.submit(await browser.get(regenerate), regenerate)
    assert "Nothing has used the old secret" in (await browser.get(path)).text
    warned = await browser.get(regenerate)
    assert "It stops as soon as you regenerate." in warned.text


async def test_a_key_that_is_refused_says_nothing_of_an_old_secret_that_goes_on(
    people: People, installation: Installation
) -> None:
    """Disabled, it is refused with the key; revoked or expired, for good: nobody reads that it works on."""
    browser = await people("owner")
    path, _ = await make(browser, expires_at="date", expires_on="2026-11-24")
    installation.clock.now_us += 60_000_000
    regenerate = f"{path}/regenerate"
    await browser.submit(await browser.get(regenerate), regenerate, grace_period_seconds=str(7 * 24 * 3600))
    page = await browser.get(path)
    assert "Nothing has used the old secret" in page.text
    disabled = await browser.follow(await browser.submit(page, f"{path}/disable"))
    assert "The old secret is refused while the key is disabled." in disabled.text
    assert "Nothing has used the old secret" not in disabled.text
    enabled = await browser.follow(await browser.submit(disabled, f"{path}/enable"))
    assert "Nothing has used the old secret" in enabled.text
    installation.clock.now_us += DAY_US
    browser = await people("owner")
    expired = await browser.get(path)
    assert ("Expired" in expired.text, "old secret" in expired.text.lower()) == (True, False)
    assert '<div data-live="old-secret"></div>' in expired.answer.text
    revoked = await browser.follow(await browser.submit(await browser.get(f"{path}/revoke"), f"{path}/revoke"))
    assert ("Revoked" in revoked.text, "old secret" in revoked.text.lower()) == (True, False)


async def test_a_program_that_is_refused_still_has_the_old_secret(
    people: People, client: httpx2.AsyncClient, installation: Installation
) -> None:
    """For want of a scope: who read that nothing used it, and ended the grace, would break that program."""
    browser = await people("owner")
    path, old = await make(browser, access="custom", scopes=["usage:read"])
    installation.clock.now_us += 60_000_000
    regenerate = f"{path}/regenerate"
    await browser.submit(await browser.get(regenerate), regenerate, grace_period_seconds="3600")
    assert await works(client, old) == 403
    assert "Something still uses the old secret" in (await browser.get(path)).text


async def test_a_regeneration_that_is_sent_again_changes_nothing(
    people: People, client: httpx2.AsyncClient, installation: Installation
) -> None:
    """A reload must not end the secret that was just shown."""
    browser = await people("owner")
    path, old = await make(browser)
    form = await browser.get(f"{path}/regenerate")
    installation.clock.now_us += 1_000_000
    new = key_in(await browser.submit(form, f"{path}/regenerate", grace_period_seconds="0"))
    again = await browser.submit(form, f"{path}/regenerate", grace_period_seconds="0")
    assert (again.status, "The key was shown once already" in again.text) == (409, True)
    assert "Nothing was changed now" in again.text
    assert {path, f"{path}/regenerate"} <= set(again.links)
    assert (await works(client, old), await works(client, new)) == (401, 200)
    await browser.submit(await browser.get(f"{path}/revoke"), f"{path}/revoke")
    late = await browser.submit(form, f"{path}/regenerate", grace_period_seconds="0")
    assert (late.status, "is revoked, which is final" in late.text, path in late.links) == (409, True, True)


@pytest.mark.parametrize(
    "typed", [{"grace_period_seconds": "7"}, {"grace_period_seconds": None}, {"replaces": "now"}, {"replaces": None}]
)
async def test_a_regeneration_needs_its_form(people: People, client: httpx2.AsyncClient, typed: dict[str, str]) -> None:
    """A form that is not as the page has it changes nothing."""
    browser = await people("owner")
    path, key = await make(browser)
    page = await browser.submit(await browser.get(f"{path}/regenerate"), f"{path}/regenerate", **typed)
    assert page.status == 400
    assert await works(client, key) == 200


async def test_a_key_is_revoked_after_a_question(people: People, client: httpx2.AsyncClient) -> None:
    """ASVS 3.5.3: looking at the question changes nothing; after the answer nothing brings the key back."""
    browser = await people("owner")
    path, key = await make(browser)
    question = await browser.get(f"{path}/revoke")
    assert "This cannot be undone" in question.text
    assert await works(client, key) == 200
    shown = await browser.follow(await browser.submit(question, f"{path}/revoke"))
    assert "It will never work again." in shown.text
    assert await works(client, key) == 401
    assert not [form for form in shown.forms if form.action.startswith(path)]
    assert (await browser.submit(question, f"{path}/revoke")).status == 303
    late = await browser.post(f"{path}/enable", {"csrf": dict(question.form(f"{path}/revoke").fields)["csrf"]})
    assert (late.status, path in late.links) == (409, True), "the way to the key"


async def test_a_revoked_key_has_no_forms(people: People) -> None:
    """Whoever opens one by its address is led to the key; one that was open before says why not, and leads there."""
    browser = await people("owner")
    path, _ = await make(browser)
    edit, question = await browser.get(f"{path}/edit"), await browser.get(f"{path}/revoke")
    await browser.submit(question, f"{path}/revoke")
    await browser.get(path)
    for form in ("edit", "regenerate", "revoke"):
        page = await browser.get(f"{path}/{form}")
        assert (page.status, page.answer.headers["location"]) == (303, path)
        assert "This key is revoked, which is final." in (await browser.follow(page)).text
    for late in (
        await browser.submit(edit, f"{path}/edit", name="too late"),
        await browser.post(f"{path}/disable", {"csrf": dict(edit.form(f"{path}/edit").fields)["csrf"]}),
    ):
        assert (late.status, path in late.links) == (409, True)
        assert "This API key is revoked, which is final." in late.text


async def test_what_was_done_is_told(people: People) -> None:
    """ASVS 16.2.1: who did what, and from where."""
    browser = await people("owner")
    path, _ = await make(browser, name="told")
    await browser.submit(await browser.get(path), f"{path}/disable")
    page = await browser.get(path)
    assert "owner@example.com disabled the API key “told”" in page.text
    assert "owner@example.com generated the API key “told”" in page.text
    assert "from 192.0.2.1" in page.text


async def test_a_tenant_that_is_full_loses_nothing_that_was_typed(installation: Installation) -> None:
    """It says what to do; once a key is revoked in another tab, the same form makes the new one."""
    installation.settings = msgspec.structs.replace(installation.settings, max_keys_per_tenant=1)
    async with installation.client() as client:
        browser = await sign_in(installation, Browser(client), "usr_owner")
        first, _ = await make(browser)
        form = await browser.submit(await browser.get("/api-keys/new"), "/api-keys/new", name="Second")
        assert (form.status, "There are 1 API keys already" in form.text) == (422, True)
        assert dict(form.form("/api-keys/new").fields)["name"] == "Second"
        await browser.submit(await browser.get(f"{first}/revoke"), f"{first}/revoke")
        made = await browser.submit(form, "/api-keys/new")
        assert (made.status, "Second" in made.text, bool(key_in(made))) == (200, True, True)
