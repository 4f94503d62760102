"""The fence outbox: which tenants' cached records became stale, committed together with the change itself.

It is a feed too: rows stay for a minute after they are drained, so that every node can see what changed, whatever the
store that they share has forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.clock import Timestamp
from aitbc_server.db.base import Base
from aitbc_server.db.point_reads import PointQuery
from aitbc_server.db.types import OptionalTime, RowId, TenantIdColumn


class FenceOutboxRow(Base):
    """One tenant whose records every node must forget. ``drained_at``: since when they all have."""

    __tablename__ = "fence_outbox"
    # Ids are never used twice, so that "everything up to n is drained" stays true.
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    tenant_id: Mapped[TenantIdColumn]
    drained_at: Mapped[OptionalTime]


#: One row, where there is any: a cheap question for who asks often.
ANY = PointQuery(select(FenceOutboxRow.id).limit(1))


async def append(session: AsyncSession, tenant_ids: Iterable[str]) -> None:
    """Write the tenants down in the transaction of the change."""
    rows = [{"tenant_id": tenant_id} for tenant_id in sorted(set(tenant_ids))]
    if rows:
        await session.execute(insert(FenceOutboxRow), rows)


async def feed(session: AsyncSession) -> Sequence[FenceOutboxRow]:
    """Everything of the last minute and everything that is not drained yet, oldest first."""
    return (await session.scalars(select(FenceOutboxRow).order_by(FenceOutboxRow.id))).all()


async def pending(session: AsyncSession) -> Sequence[FenceOutboxRow]:
    """What is not drained yet, oldest first."""
    return [row for row in await feed(session) if row.drained_at is None]


async def last_id(session: AsyncSession) -> int:
    """The id of the newest row; 0 where there is none."""
    return (await session.scalar(select(func.max(FenceOutboxRow.id)))) or 0


async def mark_drained(session: AsyncSession, ids: Iterable[int], at: Timestamp) -> None:
    """Note that no node believes a record from before these rows any more."""
    rows = FenceOutboxRow.id.in_(list(ids)) & FenceOutboxRow.drained_at.is_(None)
    await session.execute(update(FenceOutboxRow).where(rows).values(drained_at=at))


async def purge(session: AsyncSession, before: Timestamp) -> None:
    """Delete what was drained before that time."""
    await session.execute(delete(FenceOutboxRow).where(FenceOutboxRow.drained_at < before))
