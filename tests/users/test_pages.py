"""The pages of accounts, as a browser without JavaScript sees them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import select
from tests.support.browser import Browser, Page
from tests.users.site import ANN, BROWSER, OTHER_PASSWORD, PASSWORD, SESSION, Site, site

from aitbc_server.clock import US_PER_S
from aitbc_server.users.model import MembershipRow, UserRow
from aitbc_server.users.pace import FLOOR_S

NO_ADDRESS = "The e-mail address must look like ann@example.com."


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    """A site where everybody may sign up."""
    async with site(tmp_path) as started:
        yield started


def turn(here: Site, span: timedelta) -> None:
    """Let time pass."""
    here.installation.clock.now_us += span // timedelta(seconds=1) * US_PER_S


def location(page: Page) -> str:
    """Where a page leads to."""
    assert page.status == 303, page.text
    to: str = page.answer.headers["location"]
    return to


async def test_from_the_sign_up_to_the_first_page(here: Site) -> None:
    """The form, a mail, the link with its button, and a session."""
    browser = here.browser()
    sent = await here.sign_up(browser)
    page = await browser.follow(sent)
    assert "We have sent a mail to ann@example.com." in page.text
    link = await here.link()
    assert link.startswith("/verify-email?token=")
    page = await browser.get(link)
    assert SESSION not in browser.cookies
    wrong = await browser.submit(page, "/verify-email", password=OTHER_PASSWORD)
    assert wrong.status == 422
    assert "The password is not the one that you chose when you signed up." in wrong.text
    done = await browser.submit(wrong, "/verify-email", password=PASSWORD)
    assert location(done) == "/"
    settings = await browser.get("/settings")
    assert (settings.status, ANN in settings.text) == (200, True)
    assert "Welcome. Your account is ready." in settings.text
    again = await here.browser().get(link)
    assert (again.status, "This link does not work" in again.text) == (404, True)


async def test_the_cookie_of_a_session(here: Site) -> None:
    """ASVS 3.3.1 to 3.3.4, 7.2.2: for this host alone, over HTTPS, out of reach of scripts, and not an API key."""
    browser = await here.member()
    page = await here.sign_in(here.browser())
    lines = {line.partition("=")[0]: line for line in page.answer.headers.get_list("set-cookie")}
    for name in (SESSION, BROWSER):
        attributes = {part.strip().lower() for part in lines[name].split(";")[1:]}
        assert {"secure", "httponly", "path=/", "samesite=lax"} <= attributes
        assert not any(attribute.startswith("domain") for attribute in attributes)
    assert not browser.cookies[SESSION].startswith("aitbc_")
    assert browser.cookies[SESSION] not in (await browser.get("/settings")).answer.text


async def test_signing_in_goes_on_to_where_one_wanted_to(here: Site) -> None:
    """A page that needs a sign-in comes after it; nothing that is not on this site does (ASVS 3.7.2)."""
    await here.member()
    browser = here.browser()
    to_sign_in = location(await browser.get("/settings?a=1&b=/x"))
    assert to_sign_in == "/sign-in?next=/settings%3Fa%3D1%26b%3D/x"
    assert location(await here.sign_in(browser, path=to_sign_in)) == "/settings?a=1&b=/x"
    assert location(await browser.get("/sign-in?next=/settings")) == "/settings"
    for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb", ""):
        path = f"/sign-in?next={quote(elsewhere)}"
        assert location(await here.sign_in(here.browser(), path=path)) == "/"
        assert location(await browser.get(path)) == "/"


async def test_a_wrong_password_is_said_beside_what_was_typed(here: Site) -> None:
    """ASVS 6.3.8, 14.2.1: the same bytes for an account and for none; the address stays, the password does not."""
    await here.member()
    pages = [
        await here.sign_in(here.browser(), email, PASSWORD + "x", path="/sign-in?next=/settings")
        for email in (ANN, "who@example.com")
    ]
    texts = [page.answer.text.replace("who@", "ann@") for page in pages]
    for page, text in zip(pages, texts, strict=True):
        assert page.status == 422
        assert "There is no account with this e-mail address and password." in page.text
        fields = dict(page.form("/sign-in").fields)
        assert (fields["next"], fields["password"]) == ("/settings", "")
        assert PASSWORD not in text
        token = fields["csrf"]
        texts[texts.index(text)] = text.replace(token, "")
    assert texts[0] == texts[1]


async def test_too_many_tries_are_told_when_to_come_again(here: Site) -> None:
    """ASVS 6.3.1: 429 with Retry-After, as a page."""
    browser = here.browser()
    for _ in range(10):
        assert (await here.sign_in(browser)).status == 422
    page = await here.sign_in(browser)
    assert page.status == 429
    assert int(page.answer.headers["retry-after"]) > 0
    assert "Try again in 16 minutes." in page.text


async def test_nobody_learns_who_has_an_account(here: Site) -> None:
    """ASVS 6.3.8: sign-up and forgotten password answer alike, and not by their time either."""
    await here.member()
    for action in ("/sign-up", "/forgot-password"):
        answers = set()
        for email in (ANN, "who@example.com"):
            browser = here.browser()
            page = await browser.get(action)
            start = time.monotonic()
            sent = await browser.submit(page, action, email=email, password=PASSWORD)
            assert time.monotonic() - start >= FLOOR_S
            after = await browser.follow(sent)
            answers.add((location(sent), after.status, after.text.replace("who@", "ann@")))
        assert len(answers) == 1
    assert sorted(mail[:2] for mail in await here.mails()) == [
        (ANN, "already_have_account"),
        (ANN, "reset_password"),
        # The sign-up that was begun above is not finished.
        ("who@example.com", "reset_password"),
        ("who@example.com", "verify_email"),
    ]


async def test_a_forgotten_password_is_set_by_a_link(here: Site) -> None:
    """ASVS 7.4.3: opening it changes nothing; the button sets the password and ends every other session."""
    signed_in = await here.member()
    browser = here.browser()
    await browser.submit(await browser.get("/forgot-password"), "/forgot-password", email=ANN)
    link = await here.link()
    page = await browser.get(link)
    assert ANN in page.text
    assert (await signed_in.get("/settings")).status == 200
    short = await browser.submit(page, "/reset-password", password="too short")
    assert (short.status, "The password must have 15 characters or more" in short.text) == (422, True)
    done = await browser.submit(short, "/reset-password", password=OTHER_PASSWORD)
    assert location(done) == "/"
    assert (await browser.get("/settings")).status == 200
    assert location(await signed_in.get("/settings")).startswith("/sign-in")
    assert (await here.browser().get(link)).status == 404
    assert [mail[1] for mail in await here.mails()] == ["password_changed_notice"]


async def test_what_is_no_address_is_said_on_the_form(here: Site) -> None:
    """What was typed stays."""
    browser = here.browser()
    page = await browser.get("/forgot-password")
    wrong = await browser.submit(page, "/forgot-password", email="ann@")
    assert (wrong.status, wrong.ids["email-error"].strip()) == (422, NO_ADDRESS)
    assert dict(wrong.form("/forgot-password").fields)["email"] == "ann@"


async def test_a_sign_up_is_told_all_that_is_wrong(here: Site) -> None:
    """Both fields in one answer, each in a sentence that can be read alone."""
    browser = here.browser()
    wrong = await browser.submit(await browser.get("/sign-up"), "/sign-up", email="ann@", password="short")
    assert wrong.status == 422
    assert wrong.ids["email-error"].strip() == NO_ADDRESS
    assert wrong.ids["password-error"].strip().startswith("The password must have 15 characters or more;")


async def test_signing_out(here: Site) -> None:
    """ASVS 7.4.1, 3.5.3: by a form and not by a link; the cookie goes, and a copy of it opens nothing."""
    browser = await here.member()
    token = browser.cookies[SESSION]
    assert (await browser.get("/sign-out")).status in {404, 405}
    page = await browser.get("/settings")
    assert location(await browser.submit(page, "/sign-out")) == "/sign-in"
    assert SESSION not in browser.cookies
    browser.cookies[SESSION] = token
    assert location(await browser.get("/settings")).startswith("/sign-in")


async def test_a_new_password_on_the_settings_page(here: Site) -> None:
    """ASVS 6.2.3, 7.2.4: it wants the present one, says what is wrong beside the field, and renews the session."""
    browser, other = await here.member(), here.browser()
    await here.sign_in(other)
    page = await browser.get("/settings")
    wrong = await browser.submit(page, "/settings/password", current_password="x", new_password=OTHER_PASSWORD)
    assert (wrong.status, wrong.ids["current_password-error"].strip()) == (
        422,
        "The current password is not the right one.",
    )
    weak = await browser.submit(page, "/settings/password", current_password=PASSWORD, new_password="passwordpassword")
    assert weak.ids["new_password-error"].strip().startswith("The new password is too easy to guess")
    both = await browser.submit(page, "/settings/password", current_password="x", new_password="short")
    assert {"current_password-error", "new_password-error"} <= both.ids.keys()
    before = browser.cookies[SESSION]
    done = await browser.submit(page, "/settings/password", current_password=PASSWORD, new_password=OTHER_PASSWORD)
    assert location(done) == "/settings"
    assert browser.cookies[SESSION] != before
    assert (await browser.get("/settings")).status == 200
    assert location(await other.get("/settings")).startswith("/sign-in")
    for answer in (wrong, weak, done):
        assert PASSWORD not in answer.answer.text
        assert OTHER_PASSWORD not in answer.answer.text


async def test_sessions_are_listed_and_ended(here: Site) -> None:
    """ASVS 7.5.2: each with a button of its own, and one for all the others."""
    browser = await here.member()
    others = [here.browser() for _ in range(3)]
    for each in others:
        await here.sign_in(each)
    page = await browser.get("/settings")
    ends = [form.action for form in page.forms if form.action.endswith("/end")]
    assert len(ends) == 3
    assert page.text.count("This one") == 1
    await browser.submit(page, ends[0])
    statuses = [(await each.get("/settings")).status for each in others]
    assert sorted(statuses) == [200, 200, 303]
    assert location(await browser.submit(page, ends[0])) == "/settings#sessions"
    await browser.submit(page, "/settings/sessions/end-others")
    assert [(await each.get("/settings")).status for each in others] == [303] * 3
    page = await browser.get("/settings")
    assert [form.action for form in page.forms if "/sessions/" in form.action] == []


async def confirmed(browser: Browser, path: str) -> Page:
    """A page that wants the password first."""
    page = await browser.get(path)
    to_confirm = location(page)
    assert to_confirm == f"/confirm?next={path}"
    page = await browser.get(to_confirm)
    wrong = await browser.submit(page, "/confirm", password=OTHER_PASSWORD)
    assert (wrong.status, "The password is not the right one." in wrong.text) == (422, True)
    before = browser.cookies[SESSION]
    assert location(await browser.submit(wrong, "/confirm", password=PASSWORD)) == path
    assert browser.cookies[SESSION] != before
    return await browser.get(path)


async def test_another_address_wants_the_password_and_a_link(here: Site) -> None:
    """ASVS 7.5.1, 7.2.4, 6.3.7."""
    browser = await here.member()
    turn(here, timedelta(minutes=15))
    page = await confirmed(browser, "/settings/email")
    wrong = await browser.submit(page, "/settings/email", email="no address")
    assert (wrong.status, NO_ADDRESS in wrong.text) == (422, True)
    assert location(await browser.submit(wrong, "/settings/email", email="lee@example.org")) == "/settings"
    link = await here.link()
    bob = await here.member("bob@example.com")
    refused = await bob.get(link)
    assert (refused.status, "This link is for another account" in refused.text) == (403, True)
    assert "lee@example.org" not in refused.text
    phone = here.browser()
    asked = await phone.get(link)
    assert location(asked).startswith("/sign-in?next=/change-email%3Ftoken%3D")
    page = await phone.follow(await phone.submit(await phone.follow(asked), "/sign-in", email=ANN, password=PASSWORD))
    assert f"has the address {ANN} . From now on, use lee@example.org" in page.text
    assert ANN in (await browser.get("/settings")).text
    assert location(await phone.submit(page, "/change-email")) == "/settings"
    assert "lee@example.org" in (await browser.get("/settings")).text
    assert [mail[:2] for mail in await here.mails()] == [(ANN, "email_changed_notice")]
    assert (await phone.submit(page, "/change-email")).status == 404


async def test_deleting_the_account_wants_the_password_and_the_address(here: Site) -> None:
    """ASVS 7.4.2, 7.5.3: then it is gone, and so is the session."""
    browser = await here.member()
    turn(here, timedelta(minutes=15))
    page = await confirmed(browser, "/settings/delete")
    assert "Closed, as nobody but you is in there: ann (" in page.text
    assert not any(words in page.text for words in ("You leave", "development server", "last operator"))
    wrong = await browser.submit(page, "/settings/delete", email="ann")
    assert (wrong.status, "Type ann@example.com to confirm." in wrong.text) == (422, True)
    assert location(await browser.submit(wrong, "/settings/delete", email="Ann@example.com")) == "/sign-in"
    assert SESSION not in browser.cookies
    assert "Your account is deleted." in (await browser.get("/sign-in")).text
    assert [mail[:2] for mail in await here.mails()] == [(ANN, "account_deleted")]
    assert (await here.sign_in(browser)).status == 422


async def test_what_stands_in_the_way_of_a_deletion_is_said_before(here: Site) -> None:
    """Which tenant would lose its only owner; there is no button, and a form that is sent all the same is refused."""
    browser = await here.member()
    page = await browser.get("/settings/delete")
    await here.member("bob@example.com")
    async with here.installation.database.write() as session:
        users = {row.email: row.id for row in await session.scalars(select(UserRow))}
        own = (await session.scalars(select(MembershipRow).where(MembershipRow.user_id == users[ANN]))).one()
        joined = {"tenant_id": own.tenant_id, "role": "developer", "created_at": own.created_at}
        session.add(MembershipRow(user_id=users["bob@example.com"], **joined))
        await session.commit()
    refused = await browser.get("/settings/delete")
    assert "You are the only owner of ann (" in refused.text
    assert not [form for form in refused.forms if form.action == "/settings/delete"]
    assert (await browser.submit(page, "/settings/delete", email=ANN)).status == 409


async def test_forms_of_other_tabs_outlive_the_password(here: Site) -> None:
    """ASVS 7.2.4: the session's token is another one after it, and what was typed elsewhere is not lost."""
    browser = await here.member()
    elsewhere = await browser.get("/settings")
    turn(here, timedelta(minutes=15))
    await confirmed(browser, "/settings/delete")
    sent = await browser.submit(elsewhere, "/settings/name", name="Ann Lee")
    assert location(sent) == "/settings"
    assert "Your name is changed." in (await browser.get("/settings")).text


async def test_a_form_that_was_open_for_long_is_not_lost_to_the_clock(here: Site) -> None:
    """Half an hour after the password it has to be given again."""
    browser = await here.member()
    page = await browser.get("/settings/delete")
    turn(here, timedelta(minutes=29))
    assert (await browser.submit(page, "/settings/delete", email="x")).status == 422
    turn(here, timedelta(minutes=1))
    assert location(await browser.submit(page, "/settings/delete", email=ANN)).startswith("/confirm?next=")


async def test_a_name_that_is_markup_is_text(here: Site) -> None:
    """ASVS 1.2.1: on every page that shows it."""
    browser = await here.member()
    name = "<b>Ann</b> \"'&"
    await browser.submit(await browser.get("/settings"), "/settings/name", name=name)
    page = await browser.get("/settings")
    assert dict(page.form("/settings/name").fields)["name"] == name
    assert "<b>Ann" not in page.answer.text
    too_long = await browser.submit(page, "/settings/name", name="x" * 101)
    assert (too_long.status, "The name must have at most 100 characters." in too_long.text) == (422, True)
    assert dict(too_long.form("/settings/name").fields)["name"] == "x" * 101


@pytest.mark.parametrize("policy", ["invite", "closed"])
async def test_where_strangers_are_not_let_in_the_page_says_so(tmp_path: Path, policy: str) -> None:
    """ASVS 6.3.2: there is no form, nothing leads to one, and sending it all the same is refused."""
    async with site(tmp_path, sign_up=policy) as here:
        browser = here.browser()
        page = await browser.get("/sign-up")
        assert page.forms == []
        assert "Accounts are made by" in page.text
        page = await browser.get("/sign-in")
        assert "/sign-up" not in page.links
        token = dict(page.form("/sign-in").fields)["csrf"]
        sent = await browser.post("/sign-up", {"csrf": token, "email": ANN, "password": PASSWORD})
        assert sent.status == 403
        assert await here.mails() == []


async def test_where_no_mail_is_sent_the_pages_say_so(tmp_path: Path) -> None:
    """Nobody waits for a mail that never comes."""
    async with site(tmp_path, smtp=None, mail_from=None) as here:
        for path in ("/sign-up", "/forgot-password"):
            page = await here.browser().get(path)
            assert page.forms == []
            assert "sends no mails" in page.text


@pytest.mark.parametrize(
    "path", ["/verify-email", "/reset-password", "/change-email", "/verify-email?token=x", "/reset-password?token=%00"]
)
async def test_a_link_that_is_broken_says_so(here: Site, path: str) -> None:
    """And what to do instead; no form of it does anything."""
    browser = await here.member() if path == "/change-email" else here.browser()
    page = await browser.get(path)
    assert (page.status, "This link does not work" in page.text) == (404, True)
    token = dict((await browser.get("/confirm" if path == "/change-email" else "/sign-in")).forms[-1].fields)["csrf"]
    sent = await browser.post(path.partition("?")[0], {"csrf": token, "token": "x" * 43, "password": PASSWORD})
    assert sent.status == 404


async def test_every_page_is_small_and_fast_to_read(here: Site) -> None:
    """At most 60 KB, with one heading of the first level, a title, and a label for every field."""
    browser = await here.member()
    paths = ["/settings", "/settings/email", "/settings/delete", "/confirm", "/check-mail"]
    pages = [await browser.get(path) for path in paths]
    pages += [await here.browser().get(path) for path in ("/sign-in", "/sign-up", "/forgot-password")]
    for page in pages:
        assert page.status == 200
        assert len(page.answer.content) < 60_000
        assert [tag for tag, _ in page.elements].count("h1") == 1
        labelled = {attributes.get("for") for tag, attributes in page.elements if tag == "label"}
        fields = [attributes for tag, attributes in page.elements if tag == "input"]
        assert {field["id"] for field in fields if field.get("type") != "hidden"} <= labelled
