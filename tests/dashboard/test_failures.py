"""What people see when something is wrong with us, or with their browser."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from tests.dashboard.conftest import People
from tests.support.installation import Installation
from tests.support.people import add_person, sign_in


@pytest.mark.parametrize("path", ["/api-keys", "/api-keys/key_000000000000"])
async def test_a_failure_of_ours_is_a_page_that_tells_nothing(
    installation: Installation, people: People, path: str
) -> None:
    """ASVS 16.5.1, 16.5.4, 13.4.2: an id to quote, in the frame of the pages; neither SQL nor a stack."""
    browser = await people("owner")
    async with installation.database.write() as session:
        await session.execute(text("PRAGMA foreign_keys = OFF"))
        await session.execute(text("ALTER TABLE api_keys RENAME TO gone"))
        await session.commit()
    page = await browser.get(path)
    assert page.status in {500, 503}
    assert page.answer.headers["content-type"] == "text/html; charset=utf-8"
    assert page.answer.headers["x-request-id"] in page.text
    assert "/api-keys" in page.links
    assert not any(word in page.answer.text for word in ("gone", "sql", "SQL", "Traceback", ".py"))


async def test_a_browser_without_cookies_is_told_so(people: People) -> None:
    """Over plain HTTP browsers keep none of ours: whoever runs into that learns what to do."""
    browser = people.anonymous()
    await browser.get("/sign-in")
    browser.cookies.clear()
    page = await browser.post("/sign-in", {"email": "a@example.com", "csrf": "x"})
    assert (page.status, "reach it by HTTPS" in page.text) == (400, True)


async def test_a_nul_finds_nothing(installation: Installation, people: People) -> None:
    """ASVS 2.2.1: PostgreSQL takes none in a text; wherever one is sent, it is no failure of ours."""
    user_id = await add_person(installation, "operator", is_operator=True)
    operator = await sign_in(installation, people.anonymous(), user_id)
    for path in ("/api-keys/%00", "/device/a%00b", "/admin/tenants/acme%00", "/admin/plan-requests/%00"):
        assert (await operator.get(path)).status == 404, path
    assert (await operator.get("/admin?q=%00")).status == 422
    page = await operator.get("/settings")
    sent = await operator.submit(page, "/settings/name", name="a\0b")
    assert (sent.status, "could not be read" in sent.text) == (400, True)
    token = dict(page.form("/settings/name").fields)["csrf"]
    assert (await operator.post("/settings/sessions/%00/end", {"csrf": token})).status == 404


async def test_a_way_back_keeps_its_spelling(people: People) -> None:
    """ASVS 3.7.2: after the sign-in one arrives at the very address that one asked for."""
    path = "/api-keys/%E2%82%AC?q=%20"
    asked = await people.anonymous().get(path)
    assert (asked.status, asked.answer.headers["location"]) == (
        *(303,),
        "/sign-in?next=/api-keys/%25E2%2582%25AC%3Fq%3D%2520",
    )


@pytest.mark.parametrize(
    ("path", "query", "title"),
    [
        ("/api-keys", "status=broken", "API Keys"),
        ("/jobs", "cursor=made-up", "Jobs"),
        ("/miners", "environment=prod", "Miners"),
        ("/audit-log", "cursor=made-up", "Audit log"),
    ],
)
async def test_an_address_that_a_list_does_not_take_leads_back_to_it(
    people: People, path: str, query: str, title: str
) -> None:
    """In a page's words, not in those of the API: somebody cut a link short, or kept it for too long."""
    page = await (await people("owner")).get(f"{path}?{query}")
    assert page.status in {400, 422}
    assert "The end of this address, after the question mark, does not fit this page" in page.text
    assert f"Back to {title}" in page.text
    assert path in page.links
    assert not [each for each in ("cursor", "must be one of") if each in page.text]
