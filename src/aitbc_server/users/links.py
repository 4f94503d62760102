"""Links that are mailed to people: 256 random bits, good once, for one purpose, until they expire (ASVS 6.4.1, 6.5.3).

Only the SHA-256 of a link's token is stored. Opening a link changes nothing, because scanners of mails open them all:
it shows a page whose button does.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.clock import Clock, from_ms, now, to_ms
from aitbc_server.errors import Code, DomainError, not_found
from aitbc_server.users import repository
from aitbc_server.users.model import UserLinkRow, UserRow

_TOKEN_BYTES = 32
_TOKEN_LENGTH = 43
#: Whoever signs up again and again has so many mails that work; the oldest of more stops working.
MOST_SIGN_UPS = 5


class Purpose(StrEnum):
    """What a link is for. One that is for something else does not work."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - the name of a purpose
    CHANGE_EMAIL = "change_email"
    SET_UP = "set_up"


#: A reset is as long valid as mails to one recipient are counted (see ``limits.py``).
LIFETIMES = {
    Purpose.VERIFY_EMAIL: timedelta(hours=24),
    Purpose.RESET_PASSWORD: timedelta(hours=1),
    Purpose.CHANGE_EMAIL: timedelta(hours=24),
    Purpose.SET_UP: timedelta(hours=24),
}


class Links:
    """Makes, finds and uses links, in the caller's transaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def make(
        self, session: AsyncSession, user_id: str, purpose: Purpose, email: str, *, password_hash: str | None = None
    ) -> str:
        """A new link's token. Only the newest works, but at sign-up, where each has a password of its own."""
        at = now(self._clock)
        keep = MOST_SIGN_UPS - 1 if purpose is Purpose.VERIFY_EMAIL else 0
        await repository.delete_links_but_newest(session, user_id, purpose, keep=keep)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        session.add(
            UserLinkRow(
                digest=_digest(token),
                user_id=user_id,
                purpose=purpose,
                email=email,
                password_hash=password_hash,
                created_at=at,
                expires_at=from_ms(to_ms(at + LIFETIMES[purpose])),
            )
        )
        await session.flush()
        return token

    async def find(
        self, session: AsyncSession, token: str, *purposes: Purpose, for_update: bool = False
    ) -> UserLinkRow:
        """The link, if it works. Raises ``not_found`` with a text for its holder."""
        row = await repository.link(session, _digest(token), for_update=for_update) if _is_token(token) else None
        if row is None or row.purpose not in purposes or row.expires_at <= now(self._clock):
            raise DomainError(
                Code.NOT_FOUND,
                "This link does not work: it has expired, was used already, or a newer one has replaced it.",
            )
        return row

    async def use(self, session: AsyncSession, token: str, *purposes: Purpose) -> tuple[UserLinkRow, UserRow]:
        """What the link was, which is gone once the caller's transaction is committed, and its account, held.

        Raises ``not_found``, also where the account is gone or disabled.
        """
        row = await self.find(session, token, *purposes)
        # The account first, as whoever changes one does: two links of it would else wait for each other.
        user = await repository.user(session, row.user_id, for_update=True)
        # Of two who use it at once, the second finds it gone.
        row = await self.find(session, token, *purposes, for_update=True)
        if user is None or user.disabled_at is not None:
            raise not_found()
        await session.delete(row)
        await session.flush()
        return row, user


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _is_token(token: str) -> bool:
    return len(token) == _TOKEN_LENGTH and token.isascii()
