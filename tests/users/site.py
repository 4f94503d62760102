"""A whole server with its pages, whose mails tests read instead of a mail server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from sqlalchemy import select
from tests.support.browser import Browser, Page
from tests.support.installation import Installation, installed

from aitbc_server.mail.addresses import parse_sender
from aitbc_server.mail.model import MailRow
from aitbc_server.mail.sealing import Sealing
from aitbc_server.mail.smtp import SmtpServer

PASSWORD = "unhappy-violet-otter"
OTHER_PASSWORD = "seven wooden trumpets"
ANN = "ann@example.com"
SESSION, BROWSER = "__Host-aitbc-session", "__Host-aitbc-browser"

# Nobody listens there: mails stay in the outbox.
_NO_SERVER = "smtp://127.0.0.1:1"


class Site:
    """A started server. ``browser`` is somebody's who has never been here."""

    def __init__(self, installation: Installation, client: httpx2.AsyncClient) -> None:
        self.installation = installation
        self.client = client
        self._read: set[str] = set()

    def browser(self) -> Browser:
        """A fresh browser."""
        return Browser(self.client)

    async def mails(self) -> list[tuple[str, str, str]]:
        """Recipient, kind and text of the mails since the last time."""
        async with self.installation.database.read() as session:
            rows = (await session.scalars(select(MailRow).order_by(MailRow.created_at, MailRow.id))).all()
        fresh = [row for row in rows if row.id not in self._read and row.sealed is not None]
        self._read |= {row.id for row in fresh}
        sealing = Sealing(self.installation.secret_keys)
        opened = [(row, sealing.open(row.sealed or b"", mail_id=row.id, recipient=row.recipient)) for row in fresh]
        return [(row.recipient, row.kind, message.text()) for row, message in opened]

    async def link(self) -> str:
        """The path of the link in the one mail that was sent since the last time."""
        [(_, _, text)] = await self.mails()
        found = re.search(r"http://localhost:8000(/\S+\?token=\S+)", text)
        assert found is not None, text
        return found[1]

    async def sign_up(self, browser: Browser, email: str = ANN, password: str = PASSWORD) -> Page:
        """Send the form of the sign-up."""
        page = await browser.get("/sign-up")
        return await browser.submit(page, "/sign-up", email=email, password=password)

    async def sign_in(
        self, browser: Browser, email: str = ANN, password: str = PASSWORD, path: str = "/sign-in"
    ) -> Page:
        """Send the form of the sign-in."""
        return await browser.submit(await browser.get(path), "/sign-in", email=email, password=password)

    async def member(self, email: str = ANN) -> Browser:
        """A browser of somebody who has just signed up and is signed in."""
        browser = self.browser()
        await self.sign_up(browser, email)
        page = await browser.get(await self.link())
        await browser.submit(page, "/verify-email", password=PASSWORD)
        assert any(name.endswith("aitbc-session") for name in browser.cookies)
        return browser


@asynccontextmanager
async def site(folder: Path, **settings: Any) -> AsyncIterator[Site]:
    """A site where everybody may sign up."""
    async with installed(folder) as installation:
        changes = {
            "smtp": SmtpServer.parse(_NO_SERVER),
            "mail_from": parse_sender("no-reply@example.com"),
            "sign_up": "open",
            **settings,
        }
        installation.settings = msgspec.structs.replace(installation.settings, **changes)
        async with installation.client() as client:
            yield Site(installation, client)
