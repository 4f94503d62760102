"""S1 for people: every page and every form, everybody who may sit at a browser, one table of what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import httpx2
import pytest
from tests.contract.page_rules import PAGES, PageRule
from tests.support.browser import Browser, Page
from tests.support.installation import HOME, Installation, page_routes
from tests.support.people import add_person, sign_in

from aitbc.schemas.scopes import Scope
from aitbc_server.dashboard.csrf import Csrf
from aitbc_server.gate.operations import Audience
from aitbc_server.users.roles import ROLE_SCOPES, Role

LONG = timedelta(minutes=30) // timedelta(microseconds=1)
#: Everybody: their role in the tenant, and whether they are an operator.
PERSONS: dict[str, tuple[Role | None, bool]] = {
    **{role: (role, False) for role in Role},
    "nobody": (None, False),
    "operator": (Role.OWNER, True),
    "lonely-operator": (None, True),
}


def test_the_table_has_every_page_and_no_other() -> None:
    """Default deny, ASVS 8.1.1: a new page is refused here until somebody writes down who it is for."""
    assert {(route.method, route.path) for route in page_routes()} == set(PAGES)


def test_the_guard_decides_by_the_table() -> None:
    """ASVS 8.2.1: what each page declares is what the table says."""
    for method, path, operation in page_routes():
        rule = PAGES[method, path]
        scopes = operation.scope
        roles = None if scopes is None else {role for role in Role if scopes in ROLE_SCOPES[role]}
        declared = (operation.audience is Audience.EVERYONE, operation.operator, operation.recent, roles)
        assert declared == (rule.everyone, rule.operator, rule.recent, rule.roles), path


class Desk:
    """Somebody at a browser, for one request after the other, each with a session of its own."""

    def __init__(self, installation: Installation, client: httpx2.AsyncClient, name: str) -> None:
        self.installation = installation
        self.client = client
        self.name = name

    async def ask(self, method: str, path: str, *, token: bool = True, stale: bool = False) -> Page:
        """The answer to a GET, or to a form with nothing in it but the token."""
        browser = Browser(self.client)
        binding = browser.cookies["__Host-aitbc-visitor"] = "v" * 43
        if self.name:
            await sign_in(self.installation, browser, f"usr_{self.name}")
            binding = await self._session_id()
            if stale:
                self.installation.clock.now_us += LONG
        url = await self._url(path)
        if method in {"GET", "HEAD"}:
            return await (browser.get(url) if method == "GET" else browser.head(url))
        fields = {"csrf": Csrf(self.installation.secret_keys).token(binding)} if token else {}
        return await browser.post(url, fields)

    async def _session_id(self) -> str:
        from sqlalchemy import select

        from aitbc_server.users.model import SessionRow

        newest = select(SessionRow.id).where(SessionRow.user_id == f"usr_{self.name}")
        async with self.installation.database.read() as session:
            found = (await session.scalars(newest.order_by(SessionRow.created_at.desc(), SessionRow.id))).all()
        self.installation.clock.now_us += 1_000
        return found[0]

    async def _url(self, path: str) -> str:
        if "{key_id}" in path:
            # Their own: whose keys a developer manages is another test's matter.
            key = await self.installation.add_key(HOME, scopes=[Scope.JOBS_READ], created_by=f"usr_{self.name}")
            path = path.replace("{key_id}", key.id)
        return re.sub(r"\{\w+\}", "none", path)


def judged(rule: PageRule, name: str, page: Page) -> Iterator[str]:
    """What is wrong about an answer to somebody who has just signed in."""
    role, operator = PERSONS.get(name, (None, False))
    location = page.answer.headers.get("location", "")
    if not name and not rule.everyone:
        if page.status != 303 or not location.startswith("/sign-in?next=/"):
            yield f"a stranger gets {page.status} {location}"
    elif rule.operator and not operator:
        if page.status != 404:
            yield f"who is no operator gets {page.status}"
    elif rule.roles is not None and role not in rule.roles:
        if page.status != 403:
            yield f"a role that is not enough gets {page.status}"
    elif page.status not in {200, 303, 400, 404, 409, 422, rule.also} or location.startswith(("/sign-in?", "/confirm")):
        yield f"who may gets {page.status} {location}"


async def desk(installation: Installation, client: httpx2.AsyncClient, name: str) -> Desk:
    if name:
        role, operator = PERSONS[name]
        await add_person(installation, name, *([(HOME, role)] if role else []), is_operator=operator)
    return Desk(installation, client, name)


@pytest.mark.parametrize("name", ["", *PERSONS])
async def test_every_page_answers_as_the_table_says(
    name: str, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """S1, ASVS 8.2.1, 8.3.1, 8.4.1, 13.4.5: and every answer is a page with a page's headers."""
    somebody = await desk(installation, client, name)
    wrong = []
    for (method, path), rule in PAGES.items():
        role, _ = PERSONS.get(name, (None, False))
        if rule.streams and role is not None:
            continue
        page = await somebody.ask(method, path)
        saved = rule.saved_as is not None and page.status == 200
        found = [*judged(rule, name, page), *(looks_saved(rule, page) if saved else looks(page))]
        wrong += [f"{method} {path}: {fault}" for fault in found]
    assert not wrong


@pytest.mark.parametrize("name", ["", "owner", "operator"])
async def test_every_form_needs_its_token(name: str, installation: Installation, client: httpx2.AsyncClient) -> None:
    """ASVS 3.5.1: 400 for everybody who could send it, whatever else is in it."""
    somebody = await desk(installation, client, name)
    wrong = []
    for (method, path), rule in PAGES.items():
        if method != "GET" and (name or rule.everyone):
            page = await somebody.ask(method, path, token=False)
            if page.status != 400 or "Nothing was changed" not in page.text:
                wrong.append(f"{method} {path}: {page.status}")
    assert not wrong


async def test_what_is_sensitive_asks_for_the_password_again(
    installation: Installation, client: httpx2.AsyncClient
) -> None:
    """ASVS 7.5.1, 7.5.3: half an hour after the sign-in, and nothing else does."""
    somebody = await desk(installation, client, "operator")
    wrong = []
    for (method, path), rule in PAGES.items():
        if rule.streams:
            continue
        page = await somebody.ask(method, path, stale=True)
        asked = page.answer.headers.get("location", "").startswith("/confirm?next=/")
        if asked is not rule.recent:
            wrong.append(f"{method} {path}: {page.status} {page.answer.headers.get('location')}")
    assert not wrong


async def test_a_page_takes_no_other_method(installation: Installation, client: httpx2.AsyncClient) -> None:
    """ASVS 4.1.4, 3.5.3: nothing happens by a method that a page does not have."""
    wrong = []
    for path in {path for _, path in PAGES}:
        url = re.sub(r"\{\w+\}", "none", path)
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            answer = await client.request(method, url)
            if answer.status_code not in {401, 405}:
                wrong.append(f"{method} {path}: {answer.status_code}")
    assert not wrong


async def test_head_is_answered_wherever_a_page_is(installation: Installation, client: httpx2.AsyncClient) -> None:
    """RFC 9110, 9.3.2: as GET is, without the page. A stream without an end ends there."""
    wrong = []
    for name in ("", "operator"):
        somebody = await desk(installation, client, name)
        for (method, path), rule in PAGES.items():
            if method != "GET":
                continue
            head = await somebody.ask("HEAD", path)
            status = 200 if rule.streams and name else (await somebody.ask("GET", path)).status
            if (head.status, head.answer.content) != (status, b""):
                wrong.append(f"{name} {path}: {status}, but {head.status}")
    assert not wrong


def looks(page: Page) -> Iterator[str]:
    """What is wrong about any page."""
    headers = page.answer.headers
    if "x-request-id" not in headers or headers.get("x-content-type-options") != "nosniff":
        yield "no request id, or sniffed"
    if page.status == 303 or "/static/" in str(page.answer.request.url):
        return
    if headers.get("content-type") != "text/html; charset=utf-8":
        yield f"content type {headers.get('content-type')}"
    if headers.get("cache-control") != "no-store" or "default-src 'none'" not in headers["content-security-policy"]:
        yield "kept, or without a policy"
    if [tag for tag, _ in page.elements].count("h1") != 1:
        yield "not one heading"
    if len(page.answer.content) > 60 * 1024:
        yield f"{len(page.answer.content)} bytes"


def looks_saved(rule: PageRule, page: Page) -> Iterator[str]:
    """What is wrong about any file that people save: it is never shown as a page of this site (ASVS 3.2.1)."""
    headers = page.answer.headers
    if not headers.get("content-type", "").startswith(f"{rule.saved_as}"):
        yield f"content type {headers.get('content-type')}"
    if not headers.get("content-disposition", "").startswith("attachment; filename="):
        yield "shown, and not saved"
    if headers.get("cache-control") != "no-store" or headers.get("x-content-type-options") != "nosniff":
        yield "kept, or sniffed"
