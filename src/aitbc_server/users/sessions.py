"""Sessions of browsers: random tokens, kept on the server as digests, with an end (ASVS 7.2.2, 7.2.3, 7.3.1, 7.3.2).

A session ends 12 hours after it was last used, and 7 days after the sign-in whatever happens: people at work sign in
once a day at most, and a laptop that was lost on a Friday is signed out on Saturday. What is sensitive asks for the
password again after 15 minutes anyway.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.clock import Timestamp, from_ms, now, to_ms
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import not_found
from aitbc_server.ids import new_id
from aitbc_server.users import repository
from aitbc_server.users.model import USER_AGENT_LENGTH, SessionRow, UserRow
from aitbc_server.users.repository import Joined
from aitbc_server.users.roles import Role

IDLE_TIMEOUT = timedelta(hours=12)
ABSOLUTE_TIMEOUT = timedelta(days=7)
#: So often at most is a session's last use written down.
SEEN_EVERY = timedelta(minutes=1)

_TOKEN_BYTES = 32
_TOKEN_LENGTH = 43
_ADDRESS_LENGTH = 45


#: Hears of a person some of whose sessions have ended.
EndListener = Callable[[str], None]


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is in a tenant."""

    tenant_id: str
    tenant_name: str
    role: Role
    suspended: bool = False


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """Who a browser's session stands for, and which tenant it looks at: None where the person is in none.

    ``authenticated_at`` is when the password was last given.
    """

    user_id: str
    email: str
    name: str
    is_operator: bool
    session_id: str
    tenant_id: str | None
    role: Role | None
    memberships: tuple[Membership, ...]
    authenticated_at: Timestamp


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session as its owner sees it in the list."""

    id: str
    created_at: Timestamp
    last_seen_at: Timestamp
    expires_at: Timestamp
    client_ip: str | None
    user_agent: str | None


class Sessions:
    """Starts, finds and ends sessions. The token is given out once, for the cookie; here only its SHA-256 is kept.

    A token has 256 random bits, so that a plain digest is enough (ASVS 6.5.2): a copy of the table signs nobody in.
    """

    def __init__(self, units: UnitsOfWork) -> None:
        self._units = units
        self._listeners: list[EndListener] = []

    def on_end(self, listener: EndListener) -> None:
        """Tell ``listener`` whose sessions ended, as soon as that is committed by this process."""
        self._listeners.append(listener)

    async def start(self, session: AsyncSession, user_id: str, *, client_ip: str | None, user_agent: str | None) -> str:
        """A new session in the caller's transaction, and its token. Always a fresh one: none is ever taken over."""
        token, at = _new_token(), now(self._units.clock)
        session.add(
            SessionRow(
                id=new_id("ses"),
                digest=_digest(token),
                user_id=user_id,
                created_at=at,
                last_seen_at=at,
                authenticated_at=at,
                expires_at=_after(at, ABSOLUTE_TIMEOUT),
                client_ip=None if client_ip is None else client_ip[:_ADDRESS_LENGTH],
                user_agent=_shown(user_agent),
            )
        )
        return token

    async def resume(self, token: str, *, seen: bool = True) -> SignedIn | None:
        """Whose token this is; None for one that is unknown or over, and for somebody who may not sign in (now).

        ``seen``: this is a use of the session. A page that brings itself up to date is none: nobody may be there.
        """
        if not _is_token(token):
            return None
        at = now(self._units.clock)
        async with self._units.read() as session:
            found = await repository.signed_in(session, _digest(token))
            if found is None or is_over(found[0], at) or not may_sign_in(found[1]):
                return None
            joined = await repository.memberships(session, found[1].id)
        row, user = found
        if seen and at - row.last_seen_at >= SEEN_EVERY:
            async with self._units.begin() as unit:
                await repository.seen(unit.session, row.id, at)
                await unit.commit()
        return _signed_in(row, user, joined)

    async def renew(self, session: AsyncSession, user_id: str, session_id: str) -> str:
        """The password was given again: a new token for the session, in the caller's transaction (ASVS 7.2.4)."""
        row = await self._found(session, user_id, session_id)
        token = _new_token()
        row.digest = _digest(token)
        row.authenticated_at = row.last_seen_at = now(self._units.clock)
        return token

    async def choose_tenant(self, user_id: str, session_id: str, tenant_id: str) -> None:
        """From now on the session looks at this tenant. Raises ``not_found`` for one that the person is not in."""
        async with self._units.begin() as unit:
            row = await self._found(unit.session, user_id, session_id)
            if await repository.membership(unit.session, tenant_id, user_id) is None:
                raise not_found()
            row.tenant_id = tenant_id
            await unit.commit()

    async def list(self, user_id: str) -> Sequence[SessionView]:
        """The sessions of a person that are not over, those that were used last first."""
        at = now(self._units.clock)
        async with self._units.read() as session:
            rows = await repository.sessions(session, user_id)
        return [_view(row) for row in rows if not is_over(row, at)]

    async def end(self, token: str) -> None:
        """Sign out: the token opens nothing any more, wherever it was copied to (ASVS 7.4.1)."""
        async with self._units.begin() as unit:
            await self.end_with(unit.session, token)
            await unit.commit()

    async def end_with(self, session: AsyncSession, token: str) -> None:
        """End the session with this token in the caller's transaction, if there is one."""
        user_id = await repository.user_of_session(session, _digest(token)) if _is_token(token) else None
        if user_id is not None:
            await repository.end_session_with(session, _digest(token))
            self._tell_of(session, user_id)

    async def end_this(self, session: AsyncSession, signed_in: SignedIn) -> None:
        """End the session that somebody is signed in by, in the caller's transaction."""
        await repository.end_session(session, signed_in.user_id, signed_in.session_id)
        self._tell_of(session, signed_in.user_id)

    async def end_one(self, user_id: str, session_id: str) -> None:
        """End one of a person's sessions. Raises ``not_found`` for one that is not theirs."""
        async with self._units.begin() as unit:
            await unit.session.delete(await self._found(unit.session, user_id, session_id))
            self._tell_of(unit.session, user_id)
            await unit.commit()

    async def end_others(self, user_id: str, session_id: str) -> int:
        """End all of a person's sessions but this one; how many there were."""
        async with self._units.begin() as unit:
            ended = await self.end_all(unit.session, user_id, but=session_id)
            await unit.commit()
            return ended

    async def end_all(self, session: AsyncSession, user_id: str, *, but: str | None = None) -> int:
        """End a person's sessions in the caller's transaction, ``but`` one; how many there were."""
        self._tell_of(session, user_id)
        return await repository.end_sessions(session, user_id, but=but)

    async def purge(self) -> None:
        """Delete what is over."""
        at = now(self._units.clock)
        async with self._units.begin() as unit:
            await repository.delete_sessions_before(unit.session, at, _after(at, -IDLE_TIMEOUT))
            await unit.commit()

    def _tell_of(self, session: AsyncSession, user_id: str) -> None:
        """Before the commit nothing has ended yet: whoever looked then would find the session, and go on."""

        def tell(_: Any) -> None:
            for listener in self._listeners:
                listener(user_id)

        event.listen(session.sync_session, "after_commit", tell, once=True)

    async def _found(self, session: AsyncSession, user_id: str, session_id: str) -> SessionRow:
        row = await repository.session_of(session, user_id, session_id)
        if row is None or is_over(row, now(self._units.clock)):
            raise not_found()
        return row


def _new_token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


def _is_token(text: str) -> bool:
    return len(text) == _TOKEN_LENGTH and text.isascii()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _after(at: Timestamp, span: timedelta) -> Timestamp:
    return from_ms(to_ms(at + span))


def is_over(row: SessionRow, at: Timestamp) -> bool:
    """Whether a session has ended by then, of age or of idleness."""
    return at >= row.expires_at or at - row.last_seen_at >= IDLE_TIMEOUT


def may_sign_in(user: UserRow) -> bool:
    """Whether the person has proven their address, and is not disabled."""
    return user.verified_at is not None and user.disabled_at is None


def _shown(user_agent: str | None) -> str | None:
    """A browser's name for itself without anything that a list of sessions could stumble over."""
    if user_agent is None:
        return None
    return "".join(character for character in user_agent if character.isprintable())[:USER_AGENT_LENGTH]


def _signed_in(row: SessionRow, user: UserRow, joined: Sequence[Joined]) -> SignedIn:
    memberships = tuple(_membership(each) for each in joined)
    # The tenant that was chosen, as long as the person is in it; else their own.
    chosen = [each for each in memberships if each.tenant_id == row.tenant_id] or memberships[:1]
    return SignedIn(
        user_id=user.id,
        email=user.email,
        name=user.name,
        is_operator=user.is_operator,
        session_id=row.id,
        tenant_id=chosen[0].tenant_id if chosen else None,
        role=chosen[0].role if chosen else None,
        memberships=memberships,
        authenticated_at=row.authenticated_at,
    )


def _membership(joined: Joined) -> Membership:
    return Membership(
        tenant_id=joined.tenant.id,
        tenant_name=joined.tenant.name,
        role=Role(joined.membership.role),
        suspended=joined.tenant.suspended_at is not None,
    )


def _view(row: SessionRow) -> SessionView:
    return SessionView(
        id=row.id,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        expires_at=row.expires_at,
        client_ip=row.client_ip,
        user_agent=row.user_agent,
    )
