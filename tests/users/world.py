"""All of accounts over one database, with a mailbox that tests read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from tests.users.people import People

from aitbc_server.audit.model import AuditEventRow
from aitbc_server.audit.service import AuditLog
from aitbc_server.audit.verify import verify
from aitbc_server.db.engine import Database
from aitbc_server.errors import Code, DomainError
from aitbc_server.mail.addresses import check_address
from aitbc_server.mail.messages import compose
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.settings import Settings
from aitbc_server.users.accounts import Accounts
from aitbc_server.users.events import Origin
from aitbc_server.users.model import UserRow
from aitbc_server.users.parts import Entry
from aitbc_server.users.passwords import PasswordHashes
from aitbc_server.users.sessions import SignedIn

PASSWORD = "unhappy-violet-otter"
OTHER_PASSWORD = "seven wooden trumpets"
SITE = "https://aitbc.example"
HERE = Origin(client_ip="192.0.2.1", user_agent="Browser/1.0", request_id="req_1")

_SECRET_KEYS = SecretKeys([b"s" * 32])


class FakeMailbox:
    """Keeps what is put: recipient, kind and text."""

    def __init__(self) -> None:
        self.works = True
        self.mails: list[tuple[str, str, str]] = []

    async def put(self, session: AsyncSession, recipient: str, kind: str, **parameters: Any) -> None:
        """The real texts, so that a parameter that they do not take is seen."""
        self.mails.append((check_address(recipient), kind, compose(kind, parameters).text()))

    def take(self) -> list[tuple[str, str]]:
        """Recipient and kind of what was put since the last time."""
        mails, self.mails = self.mails, []
        return [mail[:2] for mail in mails]

    def token(self, kind: str) -> str:
        """The token in the link of the newest mail of this kind; the mails are taken."""
        texts = [text for _, each, text in self.mails if each == kind]
        self.mails = []
        found = re.search(r"\?token=(\S+)", texts[-1])
        assert found is not None
        return found[1]


class World(People):
    """People and the services of accounts; answers are not slowed down."""

    def __init__(
        self, database: Database, *, first_account_owns: str | None = None, floor_s: float = 0, **settings: Any
    ) -> None:
        super().__init__(database)
        self.mailbox = FakeMailbox()
        self.accounts = Accounts(
            Settings(public_url=SITE, **{"sign_up": "open", **settings}),
            self.units,
            _SECRET_KEYS,
            AuditLog(_SECRET_KEYS, self.clock),
            self.mailbox,
            first_account_owns=first_account_owns,
            hashes=PasswordHashes(_SECRET_KEYS, memory_kib=64, passes=1),
            floor_s=floor_s,
        )
        self.sessions = self.accounts.sessions

    async def member(self, name: str = "ann", password: str = PASSWORD) -> SignedIn:
        """Somebody who has signed up, followed the link and is signed in."""
        return await self.signed_in((await self.enter(name, password)).token)

    async def enter(self, name: str = "ann", password: str = PASSWORD) -> Entry:
        """The same, as their browser sees it."""
        await self.accounts.sign_ups.sign_up(f"{name}@example.com", password, HERE)
        return await self.accounts.sign_ups.verify(self.mailbox.token("verify_email"), password, HERE)

    async def signed_in(self, token: str) -> SignedIn:
        """Whose session this is."""
        found = await self.sessions.resume(token)
        assert found is not None
        return found

    async def account(self, email: str) -> UserRow | None:
        """An account as it is in the database."""
        async with self.database.read() as session:
            return await session.scalar(select(UserRow).where(UserRow.email == email))

    async def events(self, *, but: str = "user.signed_in") -> list[tuple[str, str, str | None]]:
        """What the audit log says, whose chain is intact: tenant, action, actor."""
        async with self.database.read() as session:
            assert (await verify(session, _SECRET_KEYS)).ok
            rows = await session.scalars(
                select(AuditEventRow).order_by(AuditEventRow.tenant_id, AuditEventRow.sequence)
            )
            return [(row.tenant_id, row.action, row.actor_name) for row in rows if row.action != but]


async def refusal(work: Any, code: Code = Code.VALIDATION_ERROR) -> str:
    """The text with which the work is refused."""
    with pytest.raises(DomainError) as caught:
        await work
    assert caught.value.code is code
    return caught.value.detail
