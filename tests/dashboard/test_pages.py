"""What every page has: headers, cookies, the way in, words in one piece, no way out to other sites."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx2
import pytest
from tests.dashboard.conftest import People
from tests.support.browser import Browser, Page
from tests.support.installation import HOME, STRANGER, Installation
from tests.support.people import SESSION, add_person, sign_in

from aitbc_server.dashboard.security_headers import POLICY
from aitbc_server.users.roles import Role

OWN = re.compile(r"/[a-z0-9./_-]*")


async def test_the_start_page_leads_on(people: People) -> None:
    """Who is signed in gets to their first page, anybody else to the sign-in."""
    anonymous = await people.anonymous().get("/")
    assert (anonymous.status, anonymous.answer.headers["location"]) == (303, "/sign-in")
    owner = await (await people("owner")).get("/")
    assert owner.status == 303
    assert owner.answer.headers["location"] in {"/overview", "/api-keys", "/sign-in"}


async def test_a_browser_that_is_lost_gets_a_page(people: People) -> None:
    """ASVS 3.4.3 to 3.4.6, 14.3.2: with every header of a page, and without a word on what there is."""
    page = await people.anonymous().get("/nothing/here")
    headers = page.answer.headers
    assert (page.status, headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "Page not found" in page.text
    assert headers.get_list("content-security-policy") == [POLICY]
    assert headers.get_list("cache-control") == ["no-store"]
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"


async def test_pages_load_nothing_from_elsewhere(people: People) -> None:
    """ASVS 3.4.3: each stylesheet, script and picture is ours, there, and never asked for again."""
    browser = people.anonymous()
    page = await browser.get("/nothing")
    wanted = [a.get("src") or a.get("href", "") for tag, a in page.elements if tag in {"script", "link", "img"}]
    assert len(wanted) >= 4
    for url in wanted:
        assert OWN.fullmatch(url), url
        file = await browser.get(url)
        assert (file.status, file.answer.headers["cache-control"]) == (200, "public, max-age=31536000, immutable"), url
    assert (await browser.get("/static/app.css")).status == 404
    assert (await browser.get("/static/..%2fpages.py")).status == 404


async def test_nothing_is_written_into_pages_that_the_policy_forbids(people: People) -> None:
    """No style, script or handler stands in the page itself."""
    for page in (await people.anonymous().get("/nothing"), await (await people("viewer")).get("/api-keys")):
        for tag, attributes in page.elements:
            assert tag != "style"
            assert "style" not in attributes
            assert not [name for name in attributes if name.startswith("on")]
            assert tag != "script" or attributes.get("src")


async def test_a_form_needs_its_token(people: People, client: httpx2.AsyncClient) -> None:
    """ASVS 3.5.1: without the token, with another session's, or from elsewhere nothing happens."""
    owner, other = await people("owner"), await people("owner")
    await people("viewer")
    token = _token(await owner.get("/api-keys"))
    fields = {"tenant_id": HOME, "csrf": token}
    assert (await owner.post("/choose-tenant", fields)).status == 303
    for page in (
        await owner.post("/choose-tenant", {"tenant_id": HOME}),
        await owner.post("/choose-tenant", {"tenant_id": HOME, "csrf": ""}),
        await other.post("/choose-tenant", fields),
        await owner.post("/choose-tenant", fields, {"origin": "https://evil.example", "sec-fetch-site": ""}),
        await owner.post("/choose-tenant", fields, {"origin": "", "sec-fetch-site": ""}),
        await owner.post("/choose-tenant", fields, {"sec-fetch-site": "cross-site"}),
        await owner.post("/choose-tenant", fields, {"sec-fetch-site": "same-site"}),
        await owner.post("/choose-tenant", fields, {"origin": "null"}),
    ):
        assert page.status == 400
        assert "Nothing was changed" in page.text


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b'{"csrf": "x"}', "application/json", 415),
        (b"csrf=x", "text/plain", 415),
        (b"csrf=x", "multipart/form-data; boundary=x", 415),
        (b"a=" + b"x" * 65_536, "application/x-www-form-urlencoded", 413),
        (b"csrf=%ff", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a=1" for _ in range(300)), "application/x-www-form-urlencoded", 400),
        (b"csrf=\xff", "application/x-www-form-urlencoded", 400),
        (b"", "", 400),
    ],
)
async def test_a_form_is_read_as_browsers_send_it(
    people: People, client: httpx2.AsyncClient, content: bytes, content_type: str, status: int
) -> None:
    """ASVS 2.2.1, 3.5.1: another type, too much of it, or what is no text is refused with a page."""
    browser = await people("owner")
    headers = {"cookie": f"{SESSION}={browser.cookies[SESSION]}", "origin": browser.origin}
    if content_type:
        headers["content-type"] = content_type
    answer = await client.post("/choose-tenant", content=content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")


async def test_who_is_signed_out_is_asked_to_sign_in(people: People) -> None:
    """And comes back to the page with the form; a session that is made up is none."""
    browser = people.anonymous()
    page = await browser.post("/choose-tenant", {}, {"referer": f"{browser.origin}/api-keys/new"})
    assert (page.status, page.answer.headers["location"]) == (303, "/sign-in?next=/api-keys/new")
    page = await browser.post("/choose-tenant", {}, {"referer": "https://evil.example/api-keys"})
    assert page.answer.headers["location"] == "/sign-in?next=/"
    browser.cookies[SESSION] = "A" * 43
    assert (await browser.post("/choose-tenant", {})).answer.headers["location"] == "/sign-in?next=/"


async def test_a_person_chooses_among_their_tenants(installation: Installation, people: People) -> None:
    """ASVS 8.4.1: the pages show the one that was chosen; one that they are not in is not there."""
    await add_person(installation, "both", (HOME, Role.OWNER), (STRANGER, Role.VIEWER))
    browser = await sign_in(installation, people.anonymous(), "usr_both")
    page = await browser.get("/api-keys")
    assert "You are an owner of acme" in page.text
    await browser.submit(page, "/choose-tenant", tenant_id=STRANGER)
    page = await browser.get("/api-keys")
    assert "You are a viewer of globex" in page.text
    assert (await browser.submit(page, "/choose-tenant", tenant_id="closed")).status == 404
    assert (await browser.submit(page, "/choose-tenant", tenant_id="nowhere")).status == 404
    assert "You are a viewer of globex" in (await browser.get("/api-keys")).text


async def test_a_session_ends(installation: Installation, people: People) -> None:
    """ASVS 7.3.1: after 12 idle hours the next page asks for the sign-in."""
    browser = await people("owner")
    assert "owner of acme" in (await browser.get("/api-keys")).text
    installation.clock.now_us += timedelta(hours=12) // timedelta(microseconds=1)
    assert "owner of acme" not in (await browser.get("/api-keys")).text


def _token(page: Page) -> str:
    return next(value for form in page.forms for name, value in form.fields if name == "csrf")


async def test_names_are_text(installation: Installation, people: People) -> None:
    """ASVS 1.2.1: what somebody calls themselves stays text, in elements and attributes."""
    await add_person(installation, "<b title='\">x", (HOME, Role.OWNER))
    browser: Browser = await sign_in(installation, people.anonymous(), "usr_<b title='\">x")
    page = await browser.get("/api-keys")
    assert not [tag for tag, _ in page.elements if tag == "b"]
    assert "<B Title='\">X" in page.text
