"""`/dev/mail`: the mails of a development server, and of no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.browser import Page
from tests.users.site import ANN, site

from aitbc_server.mail.outbox import Mailbox

HOSTILE = '<img src=x onerror="alert(1)">'


async def test_a_development_server_shows_its_mails(tmp_path: Path) -> None:
    """The newest first, with links that work; names stay names (ASVS 1.2.1)."""
    async with site(tmp_path, dev=True, smtp=None, mail_from=None) as home:
        browser = home.browser()
        assert "No mails yet" in (await browser.get("/dev/mail")).text
        await home.sign_up(browser)
        async with home.installation.database.write() as session:
            mailbox = Mailbox(home.installation.secret_keys, home.installation.clock)
            await mailbox.put(
                session, "eve@example.com", "email_changed_notice", new_email=HOSTILE, when="now", client_ip=None
            )
            await session.commit()
        page = await browser.get("/dev/mail")
        [link] = [link for link in page.links if "/verify-email?token=" in link]
        assert (await browser.get(link)).status == 200
    for words in (ANN, "Confirm your e-mail address", HOSTILE):
        assert words in page.text
    assert not [tag for tag, _ in page.elements if tag == "img"]


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
async def test_no_other_server_has_the_page(accept: str, tmp_path: Path) -> None:
    """ASVS 13.4.5, 13.4.2: it is not there, for whoever asks: a browser is told so, a program needs a key first."""
    async with site(tmp_path) as home:
        await home.member()
        answer = await home.client.get("/dev/mail", headers={"accept": accept})
        assert answer.status_code == (404 if accept == "text/html" else 401)
        assert "verify-email" not in Page(answer).text
