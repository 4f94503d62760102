"""The page `/device`, as a browser without JavaScript sees it; and that no other browser gets in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.support.browser import Browser, Page
from tests.users.site import ANN, PASSWORD, Site, site

from aitbc.schemas.device import CLIENT_ID, GRANT_TYPE
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.device.codes import new_user_code
from aitbc_server.device.model import DeviceGrantRow
from aitbc_server.users.model import MembershipRow

HOSTILE = '<script>alert(1)</script>" onmouseover="x'


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Site]:
    """A site where everybody may sign up."""
    async with site(tmp_path) as running:
        yield running


class Device:
    """A command line that wants to sign in."""

    def __init__(self, home: Site) -> None:
        self._home = home
        self.begun: dict[str, Any] = {}

    async def begin(self, **form: str) -> str:
        """Ask; the code that it shows."""
        answer = await self._home.client.post("/oauth/device_authorization", data={"client_id": CLIENT_ID, **form})
        self.begun = answer.json()
        return str(self.begun["user_code"])

    async def poll(self) -> Any:
        """What it is told."""
        form = {"grant_type": GRANT_TYPE, "client_id": CLIENT_ID, "device_code": self.begun["device_code"]}
        return (await self._home.client.post("/oauth/token", data=form)).json()


@pytest.fixture
def device(home: Site) -> Device:
    return Device(home)


async def enter(browser: Browser, code: str) -> Page:
    """Type the code; the page that follows."""
    page = await browser.submit(await browser.get("/device"), "/device", code=code)
    return await browser.follow(page)


def approve_path(page: Page) -> str:
    """Where the page's form of approval goes."""
    [action] = [form.action for form in page.forms if form.action.endswith("/approve")]
    return action


async def keys_of(home: Site) -> list[ApiKeyRow]:
    async with home.installation.database.read() as session:
        return list(await session.scalars(select(ApiKeyRow)))


async def test_from_the_code_to_the_key(home: Site, device: Device) -> None:
    """Type the code, see who asks for what, approve; the device collects a key that works, and a mail tells of it."""
    browser = await home.member()
    code = await device.begin(client_name="laptop", preset="client")
    page = await enter(browser, code.lower().replace("-", " "))
    assert page.status == 200
    for words in ("laptop", "192.0.2.1", ANN, "90 days", "Submit jobs"):
        assert words in page.text
    assert "another address than yours" not in page.text
    assert "manager" not in page.text.lower()
    done = await browser.follow(await browser.submit(page, approve_path(page), environment="test"))
    assert "laptop is signed in" in done.text
    assert "Go back to your terminal" in done.text
    assert (await device.poll())["api_key"]["environment"] == "test"
    [key] = await keys_of(home)
    assert (key.name, key.preset) == ("laptop", "client")
    mails = await home.mails()
    assert [(recipient, kind) for recipient, kind, _ in mails] == [(ANN, "new_key_by_device")]
    assert "laptop" in mails[0][2]
    again = await browser.get(done.answer.request.url.path)
    assert "laptop is signed in" in again.text
    assert "Go back to your terminal" not in again.text


async def test_a_development_server_suggests_a_test_key(tmp_path: Path) -> None:
    """Its jobs and miners are test ones, of which a live key would see nothing; a device may still ask for live."""
    async with site(tmp_path, dev=True) as home:
        browser, device = await home.member(), Device(home)
        for asked, suggested in ({}, "test"), ({"environment": "live"}, "live"):
            page = await enter(browser, await device.begin(**asked))
            assert dict(page.form(approve_path(page)).fields)["environment"] == suggested


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("owner", "Everything that you may do: API keys, jobs, miners, usage, members and the audit log."),
        ("developer", "Everything that you may do: your own API keys, jobs, miners, usage and the audit log."),
    ],
)
async def test_what_a_manager_may_do_is_said_for_the_role(home: Site, device: Device, role: str, words: str) -> None:
    """And of no other one (ASVS 10.7.2)."""
    browser = await home.member()
    async with home.installation.database.write() as session:
        await session.execute(update(MembershipRow).values(role=role))
        await session.commit()
    assert words in (await enter(browser, await device.begin())).text


async def test_a_denied_device_gets_nothing(home: Site, device: Device) -> None:
    """By the second button of the same form."""
    browser = await home.member()
    page = await enter(browser, await device.begin(client_name="laptop"))
    denied = await browser.follow(
        await browser.post(approve_path(page).replace("/approve", "/deny"), page.form(approve_path(page)).fields)
    )
    assert "laptop was denied" in denied.text
    assert (await device.poll())["error"] == "access_denied"


async def test_an_address_with_the_code_changes_nothing(home: Site, device: Device) -> None:
    """ASVS 3.5.3: it fills the code in; the person compares it and goes on by the button."""
    browser = await home.member()
    code = await device.begin()
    page = await browser.get(f"/device?code={code}")
    assert dict(page.form("/device").fields)["code"] == code
    assert "Compare it with your terminal" in page.text
    async with home.installation.database.read() as session:
        [grant] = await session.scalars(select(DeviceGrantRow))
        assert (grant.session_id, grant.tries) == (None, 0)


@pytest.mark.parametrize("query", ["code=%3Cscript%3E", "code=", "code=WDJB", "x=1", "code=A&code=B"])
async def test_only_a_code_is_filled_in(query: str, home: Site) -> None:
    """ASVS 1.2.1: nothing else that stands in an address gets into the page."""
    browser = await home.member()
    page = await browser.get(f"/device?{query}")
    assert (page.status, dict(page.form("/device").fields)["code"]) == (200, "")


async def test_a_stranger_signs_in_first(home: Site, device: Device) -> None:
    """And comes back to the code."""
    await home.member()
    code = await device.begin()
    stranger = home.browser()
    asked = await stranger.get(f"/device?code={code}")
    assert asked.status == 303
    page = await stranger.follow(asked)
    page = await stranger.follow(await stranger.submit(page, "/sign-in", email=ANN, password=PASSWORD))
    assert dict(page.form("/device").fields)["code"] == code


async def test_another_browser_neither_sees_nor_decides(home: Site, device: Device) -> None:
    """ASVS 6.6.2: not even another one of the same person; a link to the page of consent is of no use to anybody."""
    mine, other = await home.member(), home.browser()
    await home.sign_in(other)
    eve = await home.member("eve@example.com")
    page = await enter(mine, await device.begin())
    path = approve_path(page)
    for browser in (other, eve):
        assert (await browser.get(path.removesuffix("/approve"))).status == 404
        token = (await browser.get("/device")).form("/device").fields
        for each in (path, path.replace("/approve", "/deny")):
            assert (await browser.post(each, [*token, *page.form(path).fields[1:]])).status == 404
    assert (await device.poll())["error"] == "authorization_pending"


async def test_no_other_site_can_approve(home: Site, device: Device) -> None:
    """ASVS 3.5.1: neither without the form's token nor from another site."""
    browser = await home.member()
    page = await enter(browser, await device.begin())
    path = approve_path(page)
    fields = dict(page.form(path).fields)
    without = {name: value for name, value in fields.items() if value != fields[next(iter(fields))]}
    assert (await browser.post(path, without)).status == 400
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    assert (await browser.post(path, fields, foreign)).status == 400
    assert (await device.poll())["error"] == "authorization_pending"


async def test_the_password_was_given_a_moment_ago(home: Site, device: Device) -> None:
    """ASVS 7.5.3: to hand out a key asks for it again after 15 minutes, before the page of consent is shown."""
    browser = await home.member()
    home.installation.clock.now_us += 20 * 60 * 1_000_000
    page = await enter(browser, await device.begin(client_name="laptop"))
    assert "laptop" not in page.text
    page = await browser.follow(await browser.submit(page, "/confirm", password=PASSWORD))
    assert "laptop" in page.text
    await browser.submit(page, approve_path(page))
    assert "access_token" in await device.poll()


async def test_wrong_codes_are_told_kindly_and_end(home: Site) -> None:
    """ASVS 6.6.3: what was typed stays; after five wrong ones there is a wait."""
    browser = await home.member()
    page = await enter(browser, "WDJB")
    assert page.status == 422
    assert "The code has eight letters" in page.text
    assert dict(page.form("/device").fields)["code"] == "WDJB"
    for _ in range(5):
        page = await enter(browser, new_user_code())
        assert page.status == 422
    page = await enter(browser, new_user_code())
    assert page.status == 429
    assert "Try again in 1" in page.text
    assert page.answer.headers["retry-after"]


async def test_a_hostile_name_stays_a_name(home: Site, device: Device) -> None:
    """ASVS 1.2.1: on the page, in the mail, in the list of keys."""
    browser = await home.member()
    page = await enter(browser, await device.begin(client_name=HOSTILE))
    assert HOSTILE in page.text
    assert not [tag for tag, attributes in page.elements if "onmouseover" in attributes]
    done = await browser.follow(await browser.submit(page, approve_path(page)))
    assert HOSTILE in done.text
    assert "<script>alert" not in page.answer.text + done.answer.text
    assert (await device.poll())["api_key"]["name"] == HOSTILE


async def test_a_device_elsewhere_is_pointed_out(home: Site, device: Device) -> None:
    """RFC 8628, 5.4: who was sent a code by somebody else sees that it is not their machine that asks."""
    browser = await home.member()
    code = await device.begin()
    async with home.installation.database.write() as session:
        await session.execute(update(DeviceGrantRow).values(client_ip="203.0.113.7"))
        await session.commit()
    page = await enter(browser, code)
    assert "203.0.113.7" in page.text
    assert "another address than yours" in page.text


@pytest.mark.parametrize("changes", [{"preset": "gateway"}, {"preset": "x"}, {"tenant": "globex"}, {"environment": ""}])
async def test_a_changed_form_gives_no_more(changes: dict[str, str], home: Site, device: Device) -> None:
    """ASVS 8.2.3: what the page does not offer is refused, beside the field."""
    browser = await home.member()
    page = await enter(browser, await device.begin())
    page = await browser.submit(page, approve_path(page), **changes)
    assert page.status == 422
    assert (await device.poll())["error"] == "authorization_pending"


async def test_the_code_expires_while_the_page_is_open(home: Site, device: Device) -> None:
    """It says so, and what to do."""
    browser = await home.member()
    page = await enter(browser, await device.begin())
    home.installation.clock.now_us += 601 * 1_000_000
    late = await browser.submit(page, approve_path(page))
    assert late.status == 409
    assert "Run aitbc login again" in late.text.replace("`", "")
    assert "The code has expired" in (await browser.get(approve_path(page).removesuffix("/approve"))).text


async def test_signing_out_takes_the_approval_back(home: Site, device: Device) -> None:
    """ASVS 7.4.1: a session that is over gives no key."""
    browser = await home.member()
    page = await enter(browser, await device.begin())
    done = await browser.follow(await browser.submit(page, approve_path(page)))
    await browser.submit(done, "/sign-out")
    assert (await device.poll())["error"] == "access_denied"


async def test_pages_keep_to_what_every_page_keeps_to(home: Site, device: Device) -> None:
    """No script or style of its own, every field with a label, one heading; small (issue: 60 KB)."""
    browser = await home.member()
    code = await device.begin()
    pages = [await browser.get(f"/device?code={code}"), await enter(browser, code)]
    pages.append(await browser.follow(await browser.submit(pages[1], approve_path(pages[1]))))
    for page in pages:
        assert len(page.answer.content) < 60_000
        assert [tag for tag, _ in page.elements].count("h1") == 1
        assert not [tag for tag, attributes in page.elements if "style" in attributes or tag == "style"]
        labels = {attributes.get("for") for tag, attributes in page.elements if tag == "label"}
        for tag, attributes in page.elements:
            if tag in {"input", "select"} and attributes.get("type") not in {"hidden", "radio"}:
                assert attributes["id"] in labels
