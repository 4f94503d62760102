"""Who may do what to a key on its pages: roles, other tenants, the password again."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx2
import pytest
from tests.dashboard.conftest import People
from tests.dashboard.test_api_keys import make, works
from tests.support.browser import Browser, Page
from tests.support.installation import HOME, SUSPENDED, Installation
from tests.support.people import add_person, sign_in

from aitbc_server.users.roles import Role

PAGES = ("", "/edit", "/regenerate", "/revoke", "/live")
FORMS = ("/edit", "/regenerate", "/revoke", "/disable", "/enable")
MINUTES = timedelta(minutes=1) // timedelta(microseconds=1)


def token(page: Page) -> str:
    """A form token of the browser's session."""
    return next(value for form in page.forms for name, value in form.fields if name == "csrf")


async def send(browser: Browser, path: str, **fields: str) -> Page:
    """A form with a right token, whatever the page offers."""
    return await browser.post(path, {"csrf": token(await browser.get("/api-keys")), **fields})


def comparable(page: Page) -> str:
    """A page without what differs from one time to the next."""
    return re.sub(r'(name="csrf" value=")[^"]+|req_[0-9a-f]+', "", page.answer.text)


async def test_another_tenants_key_is_a_random_id(people: People, client: httpx2.AsyncClient) -> None:
    """ASVS 8.2.2, 8.4.1: the same bytes, on every page and for every form, and the key goes on."""
    path, key = await make(await people("stranger"))
    browser = await people("owner")
    nothing = "/api-keys/key_000000000000"
    for page in PAGES:
        theirs, none = await browser.get(f"{path}{page}"), await browser.get(f"{nothing}{page}")
        assert (theirs.status, comparable(theirs)) == (404, comparable(none)), page
    for form in FORMS:
        theirs, none = await send(browser, f"{path}{form}"), await send(browser, f"{nothing}{form}")
        assert (theirs.status, comparable(theirs)) == (404, comparable(none)), form
    assert await works(client, key) == 200
    assert path not in (await browser.get("/api-keys")).links


async def test_a_viewer_sees_and_changes_nothing(people: People, client: httpx2.AsyncClient) -> None:
    """ASVS 8.2.1: no button, no form, and what is sent all the same is refused."""
    path, key = await make(await people("owner"))
    viewer = await people("viewer")
    listed, shown = await viewer.get("/api-keys"), await viewer.get(path)
    assert (listed.status, shown.status) == (200, 200)
    assert "/api-keys/new" not in listed.links
    assert not [link for link in shown.links if link.startswith(f"{path}/")]
    assert not [form for form in shown.forms if form.action.startswith(path)]
    for page in ("/api-keys/new", *(f"{path}{page}" for page in PAGES[1:4])):
        assert (await viewer.get(page)).status == 403, page
    for form in ("/api-keys/new", *(f"{path}{form}" for form in FORMS)):
        refused = await send(viewer, form, name="x")
        assert (refused.status, "Your role here is viewer" in refused.text) == (403, True), form
    assert await works(client, key) == 200


async def test_a_developer_manages_their_own_keys(people: People, client: httpx2.AsyncClient) -> None:
    """ASVS 8.2.2: others' keys they see, and no more."""
    others, key = await make(await people("owner"))
    developer = await people("developer")
    own, _ = await make(developer)
    shown = await developer.get(others)
    assert shown.status == 200
    assert not [link for link in shown.links if link.startswith(f"{others}/")]
    for page in PAGES[1:4]:
        assert (await developer.get(f"{others}{page}")).status == 403, page
    for form in FORMS:
        assert (await send(developer, f"{others}{form}", name="x")).status == 403, form
    assert await works(client, key) == 200
    assert f"{own}/revoke" in (await developer.get(own)).links
    assert (await developer.submit(await developer.get(f"{own}/revoke"), f"{own}/revoke")).status == 303


async def test_a_developers_key_is_no_way_to_others_keys(people: People) -> None:
    """ASVS 8.2.2, 8.2.3: a key manages every key of its tenant, so that a developer makes none that manages keys."""
    developer = await people("developer")
    page = await developer.get("/api-keys/new")
    offered = {a["value"] for tag, a in page.elements if tag == "input" and a.get("name") == "scopes"}
    assert "api_keys:read" in offered
    assert "api_keys:write" not in offered
    sent = await developer.submit(page, "/api-keys/new", name="x", access="custom", scopes="api_keys:write")
    assert (sent.status, "Your role" in sent.text) == (403, True)
    owner_made = await people("owner")
    made = await send(owner_made, "/api-keys/new", name="x", access="custom", scopes="api_keys:write")
    assert made.status == 200


@pytest.mark.parametrize(
    ("name", "presets"),
    [
        ("owner", {"client", "miner", "manager", "gateway", "custom"}),
        ("admin", {"client", "miner", "manager", "gateway", "custom"}),
        ("developer", {"client", "miner", "custom"}),
    ],
)
async def test_nobody_gives_more_than_they_may(people: People, name: str, presets: set[str]) -> None:
    """ASVS 8.2.3: what a role cannot give is neither offered nor taken."""
    browser = await people(name)
    page = await browser.get("/api-keys/new")
    offered = {a["value"] for tag, a in page.elements if tag == "input" and a.get("name") == "access"}
    assert offered == presets
    for preset in ("client", "miner", "manager", "gateway"):
        page = await browser.get("/api-keys/new")
        sent = await browser.submit(page, "/api-keys/new", name="x", access=preset)
        assert sent.status == (200 if preset in presets else 403), preset


async def test_giving_out_a_secret_asks_for_the_password_again(people: People, installation: Installation) -> None:
    """ASVS 7.5.3: a quarter of an hour after the sign-in; closing a key never waits for it."""
    browser = await people("owner")
    path, _ = await make(browser)
    opened = await browser.get("/api-keys/new")
    installation.clock.now_us += 15 * MINUTES
    for page in ("/api-keys/new", f"{path}/edit", f"{path}/regenerate"):
        asked = await browser.get(page)
        assert (asked.status, asked.answer.headers["location"]) == (303, f"/confirm?next={page}")
    # A form that was opened in time may be filled in without haste.
    assert (await browser.submit(opened, "/api-keys/new", name="x")).status == 200
    installation.clock.now_us += 15 * MINUTES
    late = await browser.submit(opened, "/api-keys/new", name="y")
    assert (late.status, late.answer.headers["location"]) == (303, "/confirm?next=/")
    assert (await send(browser, f"{path}/enable")).answer.headers["location"].startswith("/confirm")
    assert (await send(browser, f"{path}/disable")).answer.headers["location"] == path
    assert (await browser.get(f"{path}/revoke")).status == 200
    assert (await send(browser, f"{path}/revoke")).answer.headers["location"] == path


async def test_a_suspended_tenants_keys_stay_as_they_are(installation: Installation, people: People) -> None:
    """Its people still see them, and why nothing works."""
    key = await installation.add_key(SUSPENDED)
    await add_person(installation, "closed", (SUSPENDED, Role.OWNER))
    browser = await sign_in(installation, people.anonymous(), "usr_closed")
    shown = await browser.get(f"/api-keys/{key.id}")
    assert (shown.status, "closed is suspended" in shown.text) == (200, True)
    for form in FORMS:
        assert (await send(browser, f"/api-keys/{key.id}{form}")).status == 403, form


async def test_who_is_in_no_tenant_is_told(people: People) -> None:
    """There is nothing to see, and a word on what to do."""
    page = await (await people("nobody")).get("/api-keys")
    assert (page.status, "Ask to be invited" in page.text) == (403, True)


async def test_a_role_that_changes_counts_at_once(installation: Installation, people: People) -> None:
    """ASVS 8.3.2: with the next request."""
    await add_person(installation, "changing", (HOME, Role.OWNER))
    browser = await sign_in(installation, people.anonymous(), "usr_changing")
    assert (await browser.get("/api-keys/new")).status == 200
    async with installation.database.write() as session:
        from sqlalchemy import update

        from aitbc_server.users.model import MembershipRow

        await session.execute(
            update(MembershipRow).where(MembershipRow.user_id == "usr_changing").values(role=Role.VIEWER)
        )
        await session.commit()
    assert (await browser.get("/api-keys/new")).status == 403


async def test_a_key_is_no_session_and_a_session_no_key(
    installation: Installation, people: People, client: httpx2.AsyncClient
) -> None:
    """ASVS 7.2.2, 9.2.2: an API key opens no page, and a session's token nothing of the API."""
    key = await installation.add_key(HOME)
    answer = await client.get("/api-keys", headers=dict(key.headers))
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/api-keys")
    browser = await people("owner")
    session = next(iter(browser.cookies.values()))
    answer = await client.get("/v1/api-keys", headers={"cookie": f"__Host-aitbc-session={session}"})
    assert answer.status_code == 401
    assert (await client.get("/v1/api-keys", headers={"X-API-Key": session})).status_code == 401
