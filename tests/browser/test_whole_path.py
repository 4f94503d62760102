"""From a stranger to a revoked key, as a person goes: in a browser, with programs of theirs beside it."""

from __future__ import annotations

import pytest
from playwright.async_api import expect
from tests.browser.site import Site
from tests.browser.steps import call, generate, regenerate, reload_until, revoke, sign_up

from aitbc.exceptions import AuthenticationError

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_from_sign_up_to_the_refusal_of_a_revoked_key(site: Site) -> None:
    """Sign up, generate, copy, call (seen live), regenerate with a grace period, revoke, refused (ASVS 7.4.1)."""
    async with site.browser(permissions=["clipboard-read", "clipboard-write"]) as context:
        page = await context.new_page()
        await sign_up(page, "whole.path@example.com")
        key = await generate(page, "First program")
        await page.get_by_role("button", name="Copy the API key").click()
        await expect(page.get_by_role("button", name="Copied the API key")).to_be_visible()
        assert await page.evaluate("navigator.clipboard.readText()") == key
        await page.get_by_role("link", name="I have stored it").click()
        overview = await context.new_page()
        await overview.goto("/overview")
        await expect(overview.get_by_text("2 of 3 done")).to_be_visible()
        await call(site, key)
        # Nobody reloads: the page hears of it.
        await expect(overview.get_by_role("heading", name="Your first call succeeded")).to_be_visible()
        await expect(overview.locator("#announcements")).to_have_text("Your first call succeeded.")
        await overview.close()
        newer = await regenerate(page, "1 hour")
        await expect(page.get_by_text("Nothing has used the old secret")).to_be_visible()
        await call(site, newer)
        await call(site, key)
        # This page hears of it, too.
        await expect(page.get_by_text("Something still uses the old secret:")).to_be_visible()
        await expect(page.locator("#announcements")).to_have_text("Something still uses the old secret.")
        await revoke(page)
        for secret in (key, newer):
            with pytest.raises(AuthenticationError, match="revoked"):
                await call(site, secret)


async def test_the_same_without_scripts(site: Site) -> None:
    """Everything but copying and what is live needs no JavaScript, and nothing offers what would not work."""
    async with site.page(java_script_enabled=False) as page:
        await sign_up(page, "no.scripts@example.com")
        key = await generate(page, "First program")
        await expect(page.get_by_role("button", name="Copy")).to_have_count(0)
        await page.get_by_role("link", name="I have stored it").click()
        await call(site, key)
        await page.get_by_role("link", name="Overview").click()
        await reload_until(page, "Your first call succeeded")
        await page.get_by_role("link", name="API Keys", exact=True).click()
        await page.get_by_role("link", name="First program").click()
        newer = await regenerate(page, "Not at all: it stops now")
        await revoke(page)
        for secret in (key, newer):
            with pytest.raises(AuthenticationError):
                await call(site, secret)
        await page.locator("summary").filter(has_text="Account").click()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_text("You are signed out.")).to_be_visible()
