"""A day's minutes as a table of their own, on PostgreSQL: to delete the day is to drop that table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import column, select, table, text
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.clock import from_ms, to_ms
from aitbc_server.db.engine import Database
from aitbc_server.usage.alone import is_alone
from aitbc_server.usage.levels import DAY_MS, HOUR_MS, Level, floor
from aitbc_server.usage.model import UsageMarkRow, UsageMinuteRow
from aitbc_server.usage.summing import Interval, sum_some, sum_up, within

# Days for which there is a partition before anybody counts in them; counts of all others lie in the default one.
_AHEAD_DAYS = 3
_PREFIX = "usage_minutes_d"
# A new partition, and one less, locks the table for a moment: who is reading for long must not hold up everybody.
_LOCK_TIMEOUT = text("SET LOCAL lock_timeout = '2s'")
_NO_STATEMENT_TIMEOUT = text("SET LOCAL statement_timeout = 0")
_PARTITIONS = text(
    "SELECT c.relname, EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = c.oid)"
    " FROM pg_class c WHERE c.relnamespace = CAST(CAST(current_schema() AS text) AS regnamespace)"
    " AND c.relkind = 'r' AND c.relname ~ '^usage_minutes_d[0-9]{8}$' ORDER BY 1"
)
_IN_DEFAULT = text("SELECT EXISTS (SELECT 1 FROM usage_minutes_default WHERE minute >= :first AND minute < :last)")


class Partition(NamedTuple):
    """A day's table; ``attached``: it is still a part of the table of minutes."""

    name: str
    attached: bool

    @property
    def end_ms(self) -> int:
        """The start of the next day."""
        day = datetime.strptime(self.name.removeprefix(_PREFIX), "%Y%m%d").replace(tzinfo=UTC)
        return int(day.timestamp()) * 1000 + DAY_MS


async def make_ahead(database: Database, now_ms: int) -> None:
    """Make the partitions of this day and the next ones, unless another node is at it."""
    today_ms = floor(now_ms, DAY_MS)
    days = {_name(day_ms): day_ms for day_ms in range(today_ms, today_ms + (_AHEAD_DAYS + 1) * DAY_MS, DAY_MS)}
    # Looks before it writes, as nearly always everything is there.
    async with database.read() as session:
        if days.keys() <= {each.name for each in await _partitions(session)}:
            return
    async with _changing(database) as session:
        if not await is_alone(session):
            return
        there = {each.name for each in await _partitions(session)}
        for name, day_ms in days.items():
            values = {"first": day_ms, "last": day_ms + DAY_MS}
            # A day that has begun in the default partition ends there.
            if name not in there and not await session.scalar(_IN_DEFAULT, values):
                # Numbers and a name that is made of one: nothing in it comes from outside.
                bounds = f"FROM ({day_ms}) TO ({day_ms + DAY_MS})"
                await session.execute(text(f"CREATE TABLE {name} PARTITION OF usage_minutes FOR VALUES {bounds}"))


async def drop_before(database: Database, before_ms: int) -> None:
    """Drop the days before that one, and sum up what no sum has of them, unless another node is at it.

    Sums are made beforehand, a few hours at a time, so that what is left to sum when a day is taken out of the table is
    next to nothing: until then nobody else can store or read. A crash behind that leaves the day's table aside, with
    nothing in it that is in no sum, and the next call drops it.
    """
    while True:
        async with database.read() as session:
            oldest = await _oldest_before(session, before_ms)
        if oldest is None:
            return
        if oldest.attached:
            while await sum_some(database, Level.HOUR, oldest.end_ms):
                pass
        async with _changing(database) as session:
            if not await is_alone(session):
                return
            oldest = await _oldest_before(session, before_ms)
            if oldest is not None and oldest.attached:
                await take_out(session, oldest)
            elif oldest is not None:
                await session.execute(text(f"DROP TABLE {oldest.name}"))


async def take_out(session: AsyncSession, day: Partition) -> None:
    """Take a day out of the table of minutes, and sum up those of its hours that are marked still.

    Their marks stay: who stores counts holds them and may wait for the table, which is locked from here on. What is
    stored of that day later lies elsewhere, and is added by the next one who sums up.
    """
    await session.execute(text(f"ALTER TABLE usage_minutes DETACH PARTITION {day.name}"))
    aside = table(day.name, *(column(each.name, each.type) for each in UsageMinuteRow.__table__.c))
    marked = select(UsageMarkRow.tenant_id, UsageMarkRow.start).where(
        UsageMarkRow.width == Level.HOUR.value,
        UsageMarkRow.start >= from_ms(day.end_ms - DAY_MS),
        UsageMarkRow.start < from_ms(day.end_ms),
    )
    for tenant_id, start in (await session.execute(marked)).all():
        hour = Interval(tenant_id, to_ms(start))
        await sum_up(session, Level.HOUR, aside, within(Level.MINUTE, hour, HOUR_MS, aside))


@asynccontextmanager
async def _changing(database: Database) -> AsyncIterator[AsyncSession]:
    # How long a table takes that nobody else can see is nobody else's business.
    async with database.write_at_leisure() as session:
        await session.execute(_LOCK_TIMEOUT)
        await session.execute(_NO_STATEMENT_TIMEOUT)
        yield session
        await session.commit()


async def _oldest_before(session: AsyncSession, before_ms: int) -> Partition | None:
    return next((each for each in await _partitions(session) if each.name < _name(before_ms)), None)


async def _partitions(session: AsyncSession) -> list[Partition]:
    return [Partition(*row) for row in await session.execute(_PARTITIONS)]


def _name(day_ms: int) -> str:
    return f"{_PREFIX}{from_ms(day_ms):%Y%m%d}"
