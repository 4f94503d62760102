"""What a person does on the way from a stranger to a revoked key, with scripts in the browser or without."""

from __future__ import annotations

import asyncio
import re

from playwright.async_api import Page, expect
from tests.browser.site import PASSWORD, Site

from aitbc import AITBCClient


async def sign_up(page: Page, email: str) -> None:
    """Make an account by the forms, and the link in the mail."""
    await page.goto("/")
    await page.get_by_role("link", name="Create an account").click()
    await page.get_by_label("E-mail address").fill(email)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Create account").click()
    await expect(page.get_by_role("heading", name="Check your mail")).to_be_visible()
    await page.get_by_role("link", name="See them here").click()
    mail = page.get_by_role("article").filter(has_text=f"To {email}")
    await mail.get_by_role("link").first.click()
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Confirm and sign in").click()
    await expect(page.get_by_role("heading", name="Get started")).to_be_visible()


async def generate(page: Page, name: str) -> str:
    """Generate a key by the form; its whole text, as it is shown this once."""
    await page.get_by_role("link", name="Generate new API key").click()
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Live").check()
    await page.get_by_label("Client").check()
    await page.get_by_role("button", name="Generate API key").click()
    return await shown_key(page)


async def shown_key(page: Page) -> str:
    """The key on the page that shows it once."""
    await expect(page.get_by_text("It will not be shown again.")).to_be_visible()
    return (await page.locator("#key").inner_text()).strip()


async def regenerate(page: Page, grace: str) -> str:
    """Give the key of this page a new secret; the old one goes on for ``grace``. The whole key."""
    await page.get_by_role("link", name="Regenerate").click()
    await page.get_by_label(grace).check()
    await page.get_by_role("button", name="Regenerate").click()
    newer = await shown_key(page)
    await page.get_by_role("link", name="I have stored it").click()
    return newer


async def revoke(page: Page) -> None:
    """Revoke the key of this page."""
    await page.get_by_role("link", name="Revoke").click()
    await expect(page.get_by_role("heading", name=re.compile("^Revoke"))).to_be_visible()
    await page.get_by_role("button", name="Revoke this key for good").click()
    await expect(page.get_by_text("The key is revoked. It will never work again.")).to_be_visible()


async def call(site: Site, key: str) -> None:
    """Ask something by the SDK, as a program does."""

    def ask() -> None:
        with AITBCClient(api_key=key, base_url=site.server.url) as client:
            list(client.jobs.list(limit=1))

    await asyncio.to_thread(ask)


async def reload_until(page: Page, text: str) -> None:
    """What programs did stands in the database a moment later. Raises AssertionError where it never does."""
    for _ in range(40):
        await page.reload()
        if await page.get_by_text(text).is_visible():
            return
        await asyncio.sleep(0.25)
    raise AssertionError(f"the page does not say {text!r}")
