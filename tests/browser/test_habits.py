"""What people do with browsers: several tabs, the back button, the keyboard alone, less motion."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Error, Page, expect
from tests.browser.site import PASSWORD, Account, Site
from tests.browser.steps import generate, shown_key

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Where the focus is: what it is called, and whether somebody who looks can tell (WCAG 2.4.7, 2.4.11).
_FOCUS = """() => {
    const it = document.activeElement;
    if (!it || it === document.body) return null;
    const style = getComputedStyle(it), box = it.getBoundingClientRect();
    return {
        name: (it.labels && it.labels.length ? it.labels[0].textContent : it.textContent).trim().replace(/\\s+/g, " "),
        shown: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        inside: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    };
}"""

_MOVING = """() => [...document.querySelectorAll("*")].filter((each) => {
    const style = getComputedStyle(each);
    return /[1-9]/.test(style.transitionDuration) || /[1-9]/.test(style.animationDuration);
}).length"""


async def sign_in(page: Page, account: Account) -> None:
    """Sign in by the form that is shown."""
    await page.get_by_label("E-mail address").fill(account.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()


async def sign_out(page: Page) -> None:
    """Sign out by the account menu."""
    await page.goto("/settings")
    await page.locator("summary").filter(has_text="Account").click()
    await page.get_by_role("button", name="Sign out", exact=True).click()
    await expect(page.get_by_text("You are signed out.")).to_be_visible()


async def test_two_tabs(site: Site) -> None:
    """A form that was opened before a sign-out changes nothing, and says what to do (ASVS 7.4.1, 3.5.1)."""
    account = await site.sign_up("two.tabs@example.com")
    async with site.browser(account) as context:
        first, second = await context.new_page(), await context.new_page()
        await first.goto("/api-keys/new")
        await first.get_by_label("Name").fill("Sent too late")
        await sign_out(second)
        await first.get_by_role("button", name="Generate API key").click()
        await expect(first.get_by_role("heading", name="Sign in")).to_be_visible()
        await sign_in(first, account)
        # Back at the form, which now is this session's; the other tab signs out and in once more.
        await expect(first).to_have_url(f"{site.origin}/api-keys/new")
        await first.get_by_label("Name").fill("Sent from another session")
        await sign_out(second)
        await sign_in(second, account)
        await first.get_by_role("button", name="Generate API key").click()
        await expect(first.get_by_text("reload the page")).to_be_visible()
        await second.goto("/api-keys")
        await expect(second.get_by_role("heading", name="No API keys yet")).to_be_visible()


async def test_live_parts_and_forms_outlive_the_password_in_another_tab(site: Site) -> None:
    """The session's token changes by it (ASVS 7.2.4): other tabs go on showing, and what was typed there counts."""
    account = await site.sign_up("password.again@example.com")
    async with site.browser(account) as context:
        overview, form, second = [await context.new_page() for _ in range(3)]
        await form.goto("/api-keys/new")
        await form.get_by_label("Name").fill("Begun before")
        async with overview.expect_response("**/overview/live*"):
            await overview.goto("/overview")
        await second.goto("/confirm")
        await second.get_by_label("Password").fill(PASSWORD)
        async with overview.expect_response("**/overview/live*") as again:
            await second.get_by_role("button", name="Confirm").click()
        assert (await again.value).status == 200
        await form.get_by_role("button", name="Generate API key").click()
        await shown_key(form)
        await expect(overview.get_by_text("This page does not update any more")).to_be_hidden()


async def test_the_back_button_shows_no_key_again(site: Site) -> None:
    """Neither from the browser's cache, nor by making another one (ASVS 14.2.2, 14.3.2)."""
    account = await site.sign_up("back.button@example.com")
    async with site.page(account) as page:
        await page.goto("/api-keys")
        key = await generate(page, "Once")
        await page.get_by_role("link", name="I have stored it").click()
        await expect(page.get_by_role("heading", name="Once")).to_be_visible()
        # The browser has nothing to show, and asks before it sends the form again.
        with pytest.raises(Error, match="ERR_CACHE_MISS"):
            await page.go_back()
        await expect(page.get_by_text(key)).to_have_count(0)
        await page.goto("/api-keys")
        await expect(page.get_by_role("link", name="Once")).to_have_count(1)


async def test_a_second_click_on_copy(site: Site) -> None:
    """The button says "Copied" for a moment, however often it is clicked meanwhile, and then what it is for."""
    account = await site.sign_up("two.clicks@example.com")
    async with site.page(account, permissions=["clipboard-read", "clipboard-write"]) as page:
        await page.goto("/api-keys")
        await generate(page, "Copied twice")
        button = page.locator("button[data-copy='key']")
        await button.click()
        await expect(button).to_have_text("Copied the API key")
        await button.click()
        await expect(button).to_have_text("Copied the API key")
        await expect(button).to_have_text("Copy the API key")
        await page.get_by_role("link", name="I have stored it").click()


async def test_a_file_may_be_saved_again(site: Site) -> None:
    """Each button of the export brings its file as often as it is pressed: the page stays where it is."""
    async with site.page(site.operator) as page:
        await page.goto("/audit-log/export")
        for form in ("CSV", "JSON", "CSV"):
            async with page.expect_download() as download:
                await page.get_by_role("button", name=f"Download {form}").click()
            assert (await download.value).suggested_filename.endswith(f".{form.lower()}")


async def test_after_a_sign_out_the_back_button_shows_nothing(site: Site) -> None:
    """Pages of the session are not kept by the browser (ASVS 14.3.1)."""
    account = await site.sign_up("signed.out@example.com")
    async with site.page(account) as page:
        await page.goto("/overview")
        await sign_out(page)
        await page.go_back()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await page.go_back()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_the_keyboard_is_enough(site: Site) -> None:
    """From the sign-in to a key that is copied: every step is reached by Tab, and seen (WCAG 2.1.1, 2.4.1, 2.4.7)."""
    account = await site.sign_up("keyboard@example.com")
    async with site.page(permissions=["clipboard-read", "clipboard-write"]) as page:
        await page.goto("/sign-in")
        await tab_to(page, "E-mail address")
        await page.keyboard.type(account.email)
        await tab_to(page, "Password")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Get started")).to_be_visible()
        await page.keyboard.press("Tab")
        assert (await focused(page))["name"] == "Skip to the content"
        await page.keyboard.press("Enter")
        await tab_to(page, "Generate new API key")
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("Name")).to_be_visible()
        await tab_to(page, "Name")
        await page.keyboard.type("By keyboard")
        await tab_to(page, "Client")
        await page.keyboard.press("ArrowDown")
        await tab_to(page, "Generate API key")
        await page.keyboard.press("Enter")
        key = await shown_key(page)
        await tab_to(page, "Copy the API key")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Copied the API key")).to_be_visible()
        assert await page.evaluate("navigator.clipboard.readText()") == key
        await tab_to(page, "I have stored it")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="By keyboard")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False])
async def test_what_is_wrong_with_a_form_has_the_focus(site: Site, scripts: bool) -> None:
    """A screen reader begins there, and the next Tab leads to the first fault (WCAG 2.4.3, 3.3.1, 4.1.3)."""
    async with site.page(site.operator, java_script_enabled=scripts) as page:
        await page.goto("/api-keys/new")
        await page.get_by_label("Name").fill("Reports")
        await page.get_by_label("Allowed addresses").fill("here")
        await page.get_by_label("Own limit").fill("many")
        await page.get_by_role("button", name="Generate API key").click()
        await expect(page.get_by_role("alert")).to_be_focused()
        await expect(page.get_by_role("alert")).to_contain_text("The key's own limit must be a whole number.")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("Allowed addresses")).to_be_focused()


async def test_charts_tell_the_readers_time(site: Site) -> None:
    """As the rest of the page does; days alone are those of UTC, and say so. Without scripts everything is UTC."""
    options = {"timezone_id": "Asia/Kathmandu", "locale": "en-US"}
    async with site.page(site.operator, **options) as page:
        await page.goto("/overview")
        chart = page.locator("#requests")
        await expect(chart.locator(".chart-zone")).to_be_hidden()
        # Kathmandu is 5:45 ahead of UTC, where the labels are at full hours.
        for label in await chart.locator("svg[role=img] text[text-anchor=middle]").all_text_contents():
            assert re.fullmatch(r"\d+:45\s[AP]M", label), label
        await chart.get_by_text("Show the numbers").click()
        await expect(chart.get_by_role("columnheader").first).to_have_text("Hour", use_inner_text=True)
        assert re.fullmatch(r"\w{3} \d+, \d+:45\s[AP]M", await chart.get_by_role("rowheader").first.inner_text())
        tip = await chart.locator(".chart-tips title").last.text_content() or ""
        assert re.fullmatch(r"\w{3} \d+, \d+:45\s[AP]M: .+", tip), tip
        await page.goto("/overview?window=month")
        await expect(chart.locator(".chart-zone")).to_have_text("Days are those of UTC.")
        assert " UTC: " in (await chart.locator(".chart-tips title").last.text_content() or "")
    async with site.page(site.operator, java_script_enabled=False, **options) as page:
        await page.goto("/overview")
        await expect(page.locator("#requests .chart-zone")).to_have_text("Times are UTC.")


async def test_menus_close_by_escape(site: Site) -> None:
    """And the focus is where it was (WCAG 1.4.13, 2.4.3)."""
    async with site.page(site.operator) as page:
        await page.goto("/settings")
        await tab_to(page, "Account")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_hidden()
        assert (await focused(page))["name"] == "Account"


async def test_nothing_moves_for_who_wants_no_motion(site: Site) -> None:
    """Where less motion is asked for, no change takes time (WCAG 2.3.3)."""
    async with site.page(site.operator, reduced_motion="reduce") as page:
        await page.goto("/overview")
        assert await page.evaluate(_MOVING) == 0
        await page.emulate_media(reduced_motion="no-preference")
        assert await page.evaluate(_MOVING) > 0


async def focused(page: Page) -> dict[str, Any]:
    """The element with the focus. Raises AssertionError where nobody would see that it has it."""
    focus: dict[str, Any] | None = await page.evaluate(_FOCUS)
    assert focus is not None
    assert focus["shown"], focus
    assert focus["inside"], focus
    return focus


async def tab_to(page: Page, name: str) -> None:
    """Go on by Tab to what is called ``name``; everything on the way shows the focus."""
    passed = []
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement === document.body"):
            continue
        passed.append((await focused(page))["name"])
        if passed[-1].startswith(name):
            return
    raise AssertionError(f"Tab does not lead to {name!r}, but to {passed}")
