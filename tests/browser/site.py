"""A development server as people see it: their browsers, their accounts, what the console of each page says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Literal, NamedTuple

import httpx2
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page
from tests.e2e.processes import ServerProcess
from tests.support import browser as plain

PASSWORD = "unhappy-violet-otter"
OPERATOR = "olga@example.com"
TIMEOUT_MS = 20_000
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

Width = Literal["wide", "narrow"]
WIDTHS: dict[Width, tuple[int, int]] = {"wide": (1280, 900), "narrow": (320, 720)}

# Chromium reports every answer of 400 and more as an error, and those are the subject of some tests.
_ANSWERED = re.compile(r"Failed to load resource: the server responded with a status of \d+")


class Account(NamedTuple):
    """Somebody with an account: the cookies of a browser that is signed in to it."""

    email: str
    cookies: dict[str, str]


class Site:
    """What tests do with the server. ``origin`` is where its pages live."""

    def __init__(self, server: ServerProcess, chromium: Browser) -> None:
        self.server = server
        self.origin = f"http://localhost:{server.port}"
        self.operator = Account("", {})
        self._chromium = chromium
        # The people who share the client have cookies of their own; it keeps none.
        jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        headers = {"user-agent": USER_AGENT}
        self._client = httpx2.AsyncClient(timeout=TIMEOUT_MS / 1000, cookies=jar, headers=headers)

    async def begin(self) -> None:
        """Make the first account, which owns the server's tenant and operates it."""
        self.operator = await self.sign_up(OPERATOR)

    async def close(self) -> None:
        """Close what was opened."""
        await self._client.aclose()

    def without_scripts(self) -> plain.Browser:
        """A client that reads and sends forms: quicker than the browser, where the forms are not the subject."""
        return plain.Browser(self._client, self.origin)

    async def sign_up(self, email: str) -> Account:
        """Make an account, by the link in the mail that ``/dev/mail`` shows."""
        person = self.without_scripts()
        await person.submit(await person.get("/sign-up"), "/sign-up", email=email, password=PASSWORD)
        page = await person.get(await self.mailed_link("/verify-email"))
        answer = await person.submit(page, "/verify-email", password=PASSWORD)
        assert answer.status == 303, answer.text
        return Account(email, person.cookies)

    async def mailed_link(self, path: str) -> str:
        """The address of the newest link to ``path`` in the mails."""
        mails = await self.without_scripts().get("/dev/mail")
        return next(link for link in mails.links if f"{path}?token=" in link)

    @asynccontextmanager
    async def browser(self, account: Account | None = None, **options: Any) -> AsyncIterator[BrowserContext]:
        """A fresh browser, signed in to an account or to none. ``options`` are those of Playwright's contexts.

        Fails where a page reported an error: one of a script, or something that its policy forbids.
        """
        width, height = WIDTHS["wide"]
        given = {"viewport": {"width": width, "height": height}, "base_url": self.origin, **options}
        context = await self._chromium.new_context(**given)
        context.set_default_timeout(TIMEOUT_MS)
        reported: list[str] = []
        context.on("console", lambda message: reported.extend(_errors(message)))
        context.on("weberror", lambda error: reported.append(str(error.error)))
        try:
            if account is not None:
                await context.add_cookies(
                    [{"name": name, "value": value, "url": self.origin} for name, value in account.cookies.items()]
                )
            yield context
        finally:
            await context.close()
        assert not reported, reported

    @asynccontextmanager
    async def page(self, account: Account | None = None, **options: Any) -> AsyncIterator[Page]:
        """A page in a fresh browser."""
        async with self.browser(account, **options) as context:
            yield await context.new_page()


def _errors(message: ConsoleMessage) -> list[str]:
    if message.type not in {"error", "warning"} or _ANSWERED.match(message.text):
        return []
    return [f"{message.page.url if message.page else ''}: {message.text}"]


async def scrolls_sideways(page: Page) -> list[str]:
    """What is wider than the screen; empty where everything fits (WCAG 1.4.10).

    A table may scroll in a region of its own, unless it is one that becomes cards on a narrow screen.
    """
    found: list[str] = await page.evaluate(
        """() => {
            const root = document.documentElement;
            const tooWide = (each) => each.scrollWidth > each.clientWidth + 1;
            const cards = [...document.querySelectorAll(".table-region:has(.as-cards)")];
            const regions = innerWidth < 640 ? cards.filter(tooWide).map(() => "a table is cut off") : [];
            if (!tooWide(root)) return regions;
            return [...document.querySelectorAll("body *")]
                .filter((each) => each.getBoundingClientRect().right > root.clientWidth + 1)
                .map((each) => `${each.tagName} ${each.className} ${each.id}`).slice(-5)
                .concat("the page is too wide", regions);
        }"""
    )
    return found
