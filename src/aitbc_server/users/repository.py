"""Queries on people, their memberships, sessions and links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import CursorResult, delete, func, inspect, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.api_keys.model import ApiKeyGrantRow, ApiKeyRow
from aitbc_server.clock import Timestamp
from aitbc_server.db.upsert import insert_into
from aitbc_server.secret_keys import VERSION_LENGTH
from aitbc_server.tenants.model import TenantRow
from aitbc_server.users.model import MembershipRow, SessionRow, UserLinkRow, UserRow


class Joined(NamedTuple):
    """A membership with its tenant."""

    membership: MembershipRow
    tenant: TenantRow


async def user(session: AsyncSession, user_id: str, *, for_update: bool = False) -> UserRow | None:
    """One person; ``for_update`` holds them until the transaction ends."""
    return await session.get(UserRow, user_id, with_for_update=for_update or None)


async def user_by_email(session: AsyncSession, email: str, *, for_update: bool = False) -> UserRow | None:
    """The person with this address, which is in lower case."""
    statement = select(UserRow).where(UserRow.email == email)
    return await session.scalar(statement.with_for_update() if for_update else statement)


async def ensure_user(session: AsyncSession, row: UserRow) -> UserRow:
    """The person with ``row``'s address, held until the transaction ends: ``row`` itself where there was nobody."""
    values = {column.key: getattr(row, column.key) for column in inspect(UserRow).columns}
    insert = insert_into(session, UserRow)
    await session.execute(insert.values(values).on_conflict_do_nothing(index_elements=[UserRow.email]))
    found = await user_by_email(session, row.email, for_update=True)
    assert found is not None
    return found


async def is_operated_without(session: AsyncSession, user_id: str) -> bool:
    """Whether anybody but this person can sign in as an operator."""
    in_use = (UserRow.verified_at.is_not(None), UserRow.disabled_at.is_(None))
    statement = select(UserRow.id).where(UserRow.is_operator, UserRow.id != user_id, *in_use)
    return await session.scalar(statement.limit(1)) is not None


async def password_versions(session: AsyncSession) -> dict[str, int]:
    """How many passwords rest on each version of the secret key (see ``passwords.py``)."""
    version = func.substr(UserRow.password_hash, 1, VERSION_LENGTH)
    statement = select(version, func.count()).where(UserRow.password_hash.is_not(None)).group_by(version)
    return {row[0]: row[1] for row in await session.execute(statement)}


async def memberships(session: AsyncSession, user_id: str) -> Sequence[Joined]:
    """What a person is where, the oldest first: that is their own tenant, as long as they are in it."""
    statement = (
        select(MembershipRow, TenantRow)
        .join(TenantRow, TenantRow.id == MembershipRow.tenant_id)
        .where(MembershipRow.user_id == user_id)
        .order_by(MembershipRow.created_at, MembershipRow.tenant_id)
    )
    return [Joined(*row) for row in await session.execute(statement)]


async def membership(session: AsyncSession, tenant_id: str, user_id: str) -> MembershipRow | None:
    """What a person is in this tenant."""
    return await session.get(MembershipRow, (tenant_id, user_id))


async def others(session: AsyncSession, tenant_id: str, user_id: str, role: str | None = None) -> int:
    """How many others are in the tenant, in this role or any."""
    statement = select(func.count()).where(MembershipRow.tenant_id == tenant_id, MembershipRow.user_id != user_id)
    return await session.scalar(statement if role is None else statement.where(MembershipRow.role == role)) or 0


async def live_keys(session: AsyncSession, tenant_id: str) -> Sequence[ApiKeyRow]:
    """A tenant's keys that are not revoked, held until the transaction ends."""
    statement = select(ApiKeyRow).where(ApiKeyRow.tenant_id == tenant_id, ApiKeyRow.revoked_at.is_(None))
    return (await session.scalars(statement.order_by(ApiKeyRow.kid).with_for_update())).all()


async def personal_keys(session: AsyncSession, user_id: str) -> Sequence[ApiKeyRow]:
    """The keys that stand for a person, in whatever tenant, and are not revoked; held until the transaction ends."""
    statement = select(ApiKeyRow).where(ApiKeyRow.user_id == user_id, ApiKeyRow.revoked_at.is_(None))
    return (await session.scalars(statement.order_by(ApiKeyRow.kid).with_for_update())).all()


async def end_grants_of(session: AsyncSession, user_id: str) -> Sequence[str]:
    """Take back what a person let keys do for further tenants; the tenants of those keys."""
    mine = ApiKeyGrantRow.granted_by == user_id
    statement = select(ApiKeyRow.tenant_id).join(ApiKeyGrantRow, ApiKeyGrantRow.kid == ApiKeyRow.kid).where(mine)
    tenants = (await session.scalars(statement.distinct())).all()
    await session.execute(delete(ApiKeyGrantRow).where(mine))
    return tenants


async def signed_in(session: AsyncSession, digest: bytes) -> tuple[SessionRow, UserRow] | None:
    """The session with this token's digest, and whose it is."""
    statement = select(SessionRow, UserRow).join(UserRow, UserRow.id == SessionRow.user_id)
    row = (await session.execute(statement.where(SessionRow.digest == digest))).one_or_none()
    return None if row is None else (row[0], row[1])


async def session_of(session: AsyncSession, user_id: str, session_id: str) -> SessionRow | None:
    """One of a person's sessions."""
    statement = select(SessionRow).where(SessionRow.id == session_id, SessionRow.user_id == user_id)
    return await session.scalar(statement.with_for_update())


async def sessions(session: AsyncSession, user_id: str) -> Sequence[SessionRow]:
    """A person's sessions, those that were used last first."""
    statement = select(SessionRow).where(SessionRow.user_id == user_id)
    return (await session.scalars(statement.order_by(SessionRow.last_seen_at.desc(), SessionRow.id))).all()


async def end_sessions(session: AsyncSession, user_id: str, *, but: str | None = None) -> int:
    """Delete a person's sessions, but one; how many there were."""
    statement = delete(SessionRow).where(SessionRow.user_id == user_id)
    if but is not None:
        statement = statement.where(SessionRow.id != but)
    return _count(await session.execute(statement))


async def end_session(session: AsyncSession, user_id: str, session_id: str) -> int:
    """Delete one of a person's sessions."""
    mine = (SessionRow.user_id == user_id, SessionRow.id == session_id)
    return _count(await session.execute(delete(SessionRow).where(*mine)))


async def user_of_session(session: AsyncSession, digest: bytes) -> str | None:
    """Whose the session with this token's digest is."""
    return await session.scalar(select(SessionRow.user_id).where(SessionRow.digest == digest))


async def end_session_with(session: AsyncSession, digest: bytes) -> int:
    """Delete the session with this token's digest."""
    return _count(await session.execute(delete(SessionRow).where(SessionRow.digest == digest)))


async def seen(session: AsyncSession, session_id: str, at: Timestamp) -> None:
    """Note that a session was used."""
    await session.execute(update(SessionRow).where(SessionRow.id == session_id).values(last_seen_at=at))


async def delete_sessions_before(session: AsyncSession, now: Timestamp, idle_since: Timestamp) -> int:
    """Delete sessions that have expired, or were not used since ``idle_since``."""
    over = (SessionRow.expires_at <= now) | (SessionRow.last_seen_at <= idle_since)
    return _count(await session.execute(delete(SessionRow).where(over)))


async def link(session: AsyncSession, digest: bytes, *, for_update: bool = False) -> UserLinkRow | None:
    """The link with this token's digest."""
    return await session.get(UserLinkRow, digest, with_for_update=for_update or None)


async def delete_links(session: AsyncSession, user_id: str, purpose: str | None = None) -> None:
    """Delete a person's links, of one purpose or all."""
    statement = delete(UserLinkRow).where(UserLinkRow.user_id == user_id)
    await session.execute(statement if purpose is None else statement.where(UserLinkRow.purpose == purpose))


async def delete_links_but_newest(session: AsyncSession, user_id: str, purpose: str, *, keep: int) -> None:
    """Delete a person's links of one purpose, but those ``keep`` that were made last."""
    mine = (UserLinkRow.user_id == user_id, UserLinkRow.purpose == purpose)
    newest = select(UserLinkRow.digest).where(*mine).order_by(UserLinkRow.created_at.desc()).limit(keep)
    await session.execute(delete(UserLinkRow).where(*mine, UserLinkRow.digest.not_in(newest)))


async def delete_links_before(session: AsyncSession, now: Timestamp) -> None:
    """Delete links that have expired, but those that somebody holds at this moment: nobody waits for them here."""
    over = select(UserLinkRow.digest).where(UserLinkRow.expires_at <= now).with_for_update(skip_locked=True)
    await session.execute(delete(UserLinkRow).where(UserLinkRow.digest.in_(over)))


async def delete_unverified_before(session: AsyncSession, created_before: Timestamp) -> int:
    """Delete people who never followed their link and have none left, so that their address is free again."""
    statement = delete(UserRow).where(
        UserRow.verified_at.is_(None),
        UserRow.created_at <= created_before,
        UserRow.id.not_in(select(UserLinkRow.user_id)),
        UserRow.id.not_in(select(MembershipRow.user_id)),
    )
    return _count(await session.execute(statement))


async def delete_user(session: AsyncSession, user_id: str) -> None:
    """Delete a person and everything that is theirs alone."""
    for table in (SessionRow, UserLinkRow, MembershipRow):
        await session.execute(delete(table).where(table.user_id == user_id))
    await session.execute(delete(UserRow).where(UserRow.id == user_id))


def _count(result: Any) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount
