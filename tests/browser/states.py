"""What pages show only now and then: each with who sees it, and how to get there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from playwright.async_api import Page, expect
from tests.browser.gallery import Gallery
from tests.browser.site import Account


class State(NamedTuple):
    """``reach`` leads the page there."""

    account: Callable[[Gallery], Account | None]
    reach: Callable[[Page, Gallery], Awaitable[None]]


def _stranger(_: Gallery) -> None:
    return None


def _newcomer(gallery: Gallery) -> Account:
    return gallery.newcomer


def _operator(gallery: Gallery) -> Account:
    return gallery.site.operator


def _at(address: str) -> Callable[[Page, Gallery], Awaitable[None]]:
    async def reach(page: Page, _: Gallery) -> None:
        await page.goto(address)

    return reach


async def _wrong_password(page: Page, _: Gallery) -> None:
    await page.goto("/sign-in")
    await page.get_by_label("E-mail address").fill("nobody@example.com")
    await page.get_by_label("Password").fill("not the password")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_be_visible()


async def _weak_password(page: Page, _: Gallery) -> None:
    await page.goto("/sign-up")
    await page.get_by_label("E-mail address").fill("new@example.com")
    await page.get_by_label("Password", exact=True).fill("password12345678")
    await page.get_by_role("button", name="Create account").click()
    await expect(page.get_by_role("alert")).to_be_visible()


async def _wrong_key_form(page: Page, _: Gallery) -> None:
    await page.goto("/api-keys/new")
    await page.get_by_label("Name").fill("Reports")
    await page.get_by_label("Single scopes").check()
    await page.get_by_label("Allowed addresses").fill("not an address")
    await page.get_by_role("button", name="Generate API key").click()
    await expect(page.get_by_role("alert")).to_be_visible()


async def _shown_once(page: Page, gallery: Gallery) -> None:
    await page.goto(f"{gallery.find('/api-keys/{key_id}/regenerate').address}")
    await page.get_by_label("1 hour").check()
    await page.get_by_role("button", name="Regenerate").click()
    await expect(page.locator("#key")).to_be_visible()


async def _old_secret(page: Page, gallery: Gallery) -> None:
    await _shown_once(page, gallery)
    await page.get_by_role("link", name="I have stored it").click()
    await expect(page.get_by_text("Nothing has used the old secret")).to_be_visible()


async def _account_menu(page: Page, _: Gallery) -> None:
    await page.goto("/settings")
    await page.locator("summary").filter(has_text="Account").click()
    await expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_visible()


async def _main_menu(page: Page, _: Gallery) -> None:
    await page.goto("/plan")
    # There on narrow screens only; it stays open on wide ones, where it is not shown.
    await page.evaluate("document.querySelector('.menu-narrow').open = true")


async def _decided_requests(page: Page, _: Gallery) -> None:
    await page.goto("/admin")
    await page.get_by_text("The last that was decided").click()
    await expect(page.get_by_text("Tell us more, please.")).to_be_visible()


STATES = {
    "nothing-yet": State(_newcomer, _at("/overview")),
    "no-keys-yet": State(_newcomer, _at("/api-keys")),
    "no-jobs-yet": State(_newcomer, _at("/jobs")),
    "no-miners-yet": State(_newcomer, _at("/miners")),
    "no-event-matches": State(_operator, _at("/audit-log?actor=nobody&until=2020-01-01")),
    "wrong-days": State(_operator, _at("/audit-log?since=2026-11-24&until=2026-11-23")),
    "plan-asked-for": State(_newcomer, _at("/plan")),
    "no-match": State(_operator, _at("/api-keys?q=nothing-like-this")),
    "not-found": State(_operator, _at("/nothing-here")),
    "not-found-stranger": State(_stranger, _at("/nothing-here")),
    "dead-link": State(_stranger, _at("/verify-email?token=nothing")),
    "wrong-password": State(_stranger, _wrong_password),
    "weak-password": State(_stranger, _weak_password),
    "wrong-key-form": State(_operator, _wrong_key_form),
    "secret": State(_operator, _shown_once),
    "old-secret": State(_operator, _old_secret),
    "decided-requests": State(_operator, _decided_requests),
    "account-menu": State(_operator, _account_menu),
    "main-menu": State(_operator, _main_menu),
    "by-key": State(_operator, _at("/overview?by=key&window=hour")),
}
