"""The fence outbox: which tenants' cached records became stale, committed together with the change itself.

It is a feed too: rows stay for a minute after they are drained, so that every node can see what changed, whatever the
store that they share has forgotten.

One change may concern every tenant that there is. So nothing here reads, writes or deletes more than a portion at once,
and every question finds its rows by an index, however many lie there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Index, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.clock import Timestamp
from aitbc_server.db.base import Base
from aitbc_server.db.point_reads import PointQuery
from aitbc_server.db.types import OptionalTime, RowId, TenantIdColumn
from aitbc_server.portions import portions

#: So many rows are read or written at once: some milliseconds of a process, and far below what a statement may carry.
PORTION = 500


class FenceOutboxRow(Base):
    """One tenant whose records every node must forget. ``drained_at``: since when they all have."""

    __tablename__ = "fence_outbox"
    __table_args__ = (
        # What is pending in the order of its ids, and what was drained in the order of its times.
        Index("ix_fence_outbox_drained_at", "drained_at", "id"),
        # Ids are never used twice, so that "everything up to n is drained" stays true.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    tenant_id: Mapped[TenantIdColumn]
    drained_at: Mapped[OptionalTime]


_id, _drained_at = FenceOutboxRow.id, FenceOutboxRow.drained_at
_is_pending = _drained_at.is_(None)
# Of what is pending all times are the same. Without them PostgreSQL would not take the index's order for that of ids.
_PENDING_ORDER = (_drained_at, _id)
_COLUMNS = (_id, FenceOutboxRow.tenant_id)

#: How the outbox stands, for who asks often: its newest id, one that is pending, and when the first was drained, as the
#: column has it; None where there is none.
STATE = PointQuery(
    select(
        select(func.max(_id)).scalar_subquery().label("newest"),
        select(_id).where(_is_pending).order_by(*_PENDING_ORDER).limit(1).scalar_subquery().label("pending"),
        select(func.min(_drained_at)).scalar_subquery().label("drained_at"),
    )
)
#: A portion of the feed behind ``after``: id and tenant, in the order of ids.
LATER = PointQuery(select(*_COLUMNS).where(_id > bindparam("after")).order_by(_id).limit(PORTION))
#: A portion of what is pending behind ``after``, the same way.
PENDING = PointQuery(
    select(*_COLUMNS).where(_is_pending, _id > bindparam("after")).order_by(*_PENDING_ORDER).limit(PORTION)
)
#: The first that is pending up to ``last_id``.
PENDING_UP_TO = PointQuery(
    select(_id).where(_is_pending, _id <= bindparam("last_id")).order_by(*_PENDING_ORDER).limit(1)
)


async def append(session: AsyncSession, tenant_ids: Iterable[str]) -> None:
    """Write the tenants down in the transaction of the change."""
    for portion in portions(sorted(set(tenant_ids)), PORTION):
        await session.execute(insert(FenceOutboxRow), [{"tenant_id": tenant_id} for tenant_id in portion])


async def between(session: AsyncSession, after: int, ranges: Iterable[tuple[int, int]]) -> Sequence[Any]:
    """A portion of the feed behind ``after`` that has ids in these ranges, both ends included; as ``LATER``."""
    inside = or_(*(_id.between(first, last) for first, last in ranges))
    rows = select(*_COLUMNS).where(_id > after, inside).order_by(_id).limit(PORTION)
    return (await session.execute(rows)).all()


async def count_pending(session: AsyncSession) -> int:
    """How many changes are not known to be in effect everywhere."""
    return (await session.scalar(select(func.count()).where(_is_pending).select_from(FenceOutboxRow))) or 0


async def last_id(session: AsyncSession) -> int:
    """The id of the newest row; 0 where there is none."""
    return (await session.scalar(select(func.max(_id)))) or 0


async def mark_drained(session: AsyncSession, ids: Iterable[int], at: Timestamp) -> None:
    """Note that no node believes a record from before these rows any more; no more than ``PORTION`` of them.

    Those that another process is noting at this moment are left to it: two that drain the same rows never wait for one
    another.
    """
    free = select(_id).where(_id.in_(list(ids)), _is_pending).with_for_update(skip_locked=True)
    await session.execute(
        update(FenceOutboxRow).where(_id.in_(free)).values(drained_at=at), execution_options=_NOTHING_IS_HELD
    )


async def mark_all_drained(session: AsyncSession, last_id: int, at: Timestamp) -> None:
    """Note it of everything up to that id, where no process believes anything."""
    rows = update(FenceOutboxRow).where(_is_pending, _id <= last_id).values(drained_at=at)
    await session.execute(rows, execution_options=_NOTHING_IS_HELD)


async def purge(session: AsyncSession, before: Timestamp) -> bool:
    """Delete a portion of what was drained before that time; whether there may be more."""
    old = select(_id).where(_drained_at < before).order_by(*_PENDING_ORDER).limit(PORTION)
    deleted: Any = await session.execute(
        delete(FenceOutboxRow).where(_id.in_(old.with_for_update(skip_locked=True))), execution_options=_NOTHING_IS_HELD
    )
    return int(deleted.rowcount) == PORTION


# No session here holds objects of rows that would have to be brought in line with what the database does.
_NOTHING_IS_HELD = {"synchronize_session": False}
