"""Hours from minutes, and days from hours: exact, however often and by however many nodes it is done.

A *mark* says that the sum of an hour or a day must not be believed. Whoever stores minutes marks their hours first, in
the same transaction, which locks the marks; whoever sums up an hour takes its mark away first, and so waits for
everybody who is storing, and is waited for. Hence where there is no mark, everything below is in the sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, FromClause, and_, cast, delete, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc.schemas.scopes import Environment
from aitbc_server.clock import from_ms, to_ms
from aitbc_server.db.engine import Database
from aitbc_server.db.upsert import insert_into
from aitbc_server.usage.alone import is_alone
from aitbc_server.usage.levels import DAY_MS, Level, floor
from aitbc_server.usage.model import UsageMarkRow
from aitbc_server.usage.tables import BELOW, TABLES

# Other writers get their turn between transactions of this size.
_SUMS_A_TRANSACTION = 20


class Interval(NamedTuple):
    """An hour or a day of a tenant, by its start."""

    tenant_id: str
    start_ms: int


async def mark(session: AsyncSession, level: Level, intervals: Iterable[Interval]) -> None:
    """Say that these sums must not be believed. The marks are locked until the transaction ends, in a fixed order."""
    rows = [
        {"tenant_id": tenant_id, "width": level.value, "start": from_ms(start_ms)}
        for tenant_id, start_ms in sorted(set(intervals))
    ]
    if rows:
        insert = insert_into(session, UsageMarkRow)
        # A mark that stands is written again, because it must be locked.
        statement = insert.on_conflict_do_update(
            index_elements=list(UsageMarkRow.__table__.primary_key), set_={"start": insert.excluded.start}
        )
        await session.execute(statement, rows)


async def due(session: AsyncSession, level: Level, before_ms: int, limit: int) -> list[Interval]:
    """The oldest marked intervals that start before then."""
    statement = (
        select(UsageMarkRow.tenant_id, UsageMarkRow.start)
        .where(UsageMarkRow.width == level.value, UsageMarkRow.start < from_ms(before_ms))
        .order_by(UsageMarkRow.start)
        .limit(limit)
    )
    return [Interval(tenant_id, to_ms(start)) for tenant_id, start in await session.execute(statement)]


async def sum_some(database: Database, level: Level, before_ms: int) -> bool:
    """Sum up some of what is marked before then, unless another node is at it; whether there may be more to do."""
    # Looks before it writes: an idle server writes nothing.
    async with database.read() as session:
        if not await due(session, level, before_ms, limit=1):
            return False
    async with database.write() as session:
        if not await is_alone(session):
            return False
        intervals = await due(session, level, before_ms, limit=_SUMS_A_TRANSACTION)
        # In the order in which whoever stores counts locks them.
        for interval in sorted(intervals):
            await sum_marked(session, level, interval)
        await session.commit()
    return len(intervals) == _SUMS_A_TRANSACTION


async def sum_marked(session: AsyncSession, level: Level, interval: Interval) -> None:
    """Sum an interval up and take its mark away, unless somebody else has."""
    tenant_id, start_ms = interval
    taken = delete(UsageMarkRow).where(
        UsageMarkRow.tenant_id == tenant_id,
        UsageMarkRow.width == level.value,
        UsageMarkRow.start == from_ms(start_ms),
    )
    if (await session.execute(taken.returning(UsageMarkRow.tenant_id))).first() is None:
        return
    await sum_up(session, level, TABLES[BELOW[level]].model.__table__, within(BELOW[level], interval, level.width_ms))


async def sum_up(session: AsyncSession, level: Level, below: FromClause, condition: ColumnElement[bool]) -> None:
    """Sum up rows of the table below, of whatever intervals. Days of which an hour is another one now are marked."""
    table, start = TABLES[level], type_coerce(below.c[BELOW[level].value], BigInteger)
    interval = (start - start % level.width_ms).label(level.value)
    group = [
        below.c[column.name] if column.name != level.value else interval for column in table.model.__table__.primary_key
    ]
    sums = select(*group, cast(func.sum(below.c["count"]), BigInteger)).where(condition).group_by(*group)
    insert = insert_into(session, table.model)
    insert = insert.from_select([column.name for column in table.model.__table__.c], sums)
    # Within a source, counts only grow: a sum that is less was made when something of it was deleted already.
    statement = insert.on_conflict_do_update(
        index_elements=list(table.model.__table__.primary_key),
        set_={"count": insert.excluded["count"]},
        where=insert.excluded["count"] > table.model.count,
    ).returning(table.model.tenant_id, table.start_ms)
    changed = (await session.execute(statement)).all()
    if level is Level.HOUR:
        await mark(session, Level.DAY, (Interval(tenant_id, floor(ms, DAY_MS)) for tenant_id, ms in changed))


def within(level: Level, interval: Interval, width_ms: int, rows: FromClause | None = None) -> ColumnElement[bool]:
    """The rows of a level that lie in an interval; ``rows``: where they are, if not in the level's table."""
    tenant_id, start_ms = interval
    columns = (TABLES[level].model.__table__ if rows is None else rows).c
    start = columns[level.value]
    return and_(
        columns.tenant_id == tenant_id,
        # Named, though there is no other: the primary key goes on with the time only behind an environment.
        columns.environment.in_(list(Environment)),
        start >= from_ms(start_ms),
        start < from_ms(start_ms + width_ms),
    )
