"""An outbox on a real database, a clock that tests turn, and a real mail server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from email.headerregistry import Address

import pytest
from sqlalchemy import select
from tests.support.mail_server import MailServer, mail_server
from tests.usage.world import Clock

from aitbc_server.db.engine import Database
from aitbc_server.mail.model import MailRow
from aitbc_server.mail.outbox import Mailbox
from aitbc_server.mail.sender import MailSender, SmtpDelivery
from aitbc_server.mail.smtp import SmtpServer
from aitbc_server.secret_keys import SecretKeys

KEYS = SecretKeys([b"k" * 40])
FROM = Address("AITBC", addr_spec="no-reply@aitbc.test")
LINK = "https://aitbc.test/verify-email/0123456789abcdef"


class Post:
    """One installation's mails."""

    def __init__(self, database: Database, server: MailServer) -> None:
        self.database = database
        self.server = server
        self.clock = Clock()
        self.mailbox = Mailbox(KEYS, self.clock)

    def sender(self, *, keys: SecretKeys = KEYS, url: str | None = None) -> MailSender:
        """A node that sends."""
        smtp = SmtpServer.parse(url or f"smtp://127.0.0.1:{self.server.port or 1}")
        return MailSender(self.database, keys, SmtpDelivery(smtp, FROM), self.clock)

    async def put(self, recipient: str = "ada@example.com", link: str = LINK) -> None:
        """A mail with a link, committed."""
        async with self.database.write() as session:
            await self.mailbox.put(session, recipient, "verify_email", link=link)
            await session.commit()

    async def rows(self) -> list[MailRow]:
        """The outbox, oldest first."""
        async with self.database.read() as session:
            return list(await session.scalars(select(MailRow).order_by(MailRow.created_at)))

    async def row(self) -> MailRow:
        """The one mail in the outbox."""
        [row] = await self.rows()
        return row

    async def attempted(self) -> None:
        """Return once somebody has claimed the one mail."""
        # Another task's work on the database rings no bell here.
        while (await self.row()).attempts == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.now_us += int(seconds * 1_000_000)


@pytest.fixture
def server() -> Iterator[MailServer]:
    """A mail server that is not started yet."""
    with mail_server() as server:
        yield server


@pytest.fixture
def post(database: Database, server: MailServer) -> Post:
    """An installation's mails, on SQLite and on PostgreSQL."""
    return Post(database, server)
