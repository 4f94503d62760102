"""What the services of accounts are made of, put together once."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.audit.service import AuditLog
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.users.browsers import KnownBrowsers
from aitbc_server.users.events import AccountEvents, Origin
from aitbc_server.users.homes import Homes
from aitbc_server.users.letters import Letters
from aitbc_server.users.limits import Limits
from aitbc_server.users.links import Links
from aitbc_server.users.model import UserRow
from aitbc_server.users.password_checks import PasswordChecks
from aitbc_server.users.password_rules import PasswordRules
from aitbc_server.users.passwords import PasswordHashes
from aitbc_server.users.sessions import Sessions


class Entry(NamedTuple):
    """What a browser gets when somebody signs in: the session's token, and the cookie by which it is known later."""

    token: str
    browser: str


class Parts(NamedTuple):
    """The parts. ``floor_s``: answers that must not tell by their time whether there is an account take so long."""

    units: UnitsOfWork
    audit: AuditLog
    events: AccountEvents
    sessions: Sessions
    hashes: PasswordHashes
    checks: PasswordChecks
    rules: PasswordRules
    links: Links
    letters: Letters
    limits: Limits
    browsers: KnownBrowsers
    homes: Homes
    floor_s: float

    async def let_in(self, session: AsyncSession, user: UserRow, origin: Origin) -> Entry:
        """Start a session for a person who has proven who they are, in the caller's transaction.

        The one that the browser had ends, whoever's it was: nobody could sign out of it any more (ASVS 7.2.4).
        """
        if origin.session is not None:
            await self.sessions.end_with(session, origin.session)
        token = await self.sessions.start(session, user.id, client_ip=origin.client_ip, user_agent=origin.user_agent)
        return Entry(token, self.browsers.introduce(user.id))
