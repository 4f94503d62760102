"""Deleting what is older than it is kept, an hour or a day of a tenant at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sqlalchemy import delete, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc.schemas.scopes import Environment
from aitbc_server.clock import from_ms, to_ms
from aitbc_server.db.engine import Database
from aitbc_server.tenants.model import TenantRow
from aitbc_server.usage.levels import Level, floor
from aitbc_server.usage.summing import Interval, mark, sum_marked, within
from aitbc_server.usage.tables import ABOVE, TABLES

# However many there are, no statement takes long.
TENANTS_A_STATEMENT = 1000


async def purge(database: Database, level: Level, before_ms: int) -> None:
    """Delete a level's counts before then, which is the start of a day. What no sum has of them is summed up first."""
    async for tenant_id in _tenants_with_older(database, level, before_ms):
        while True:
            async with database.read() as session:
                oldest_ms = await _oldest_ms(session, level, tenant_id)
            if oldest_ms is None or oldest_ms >= before_ms:
                break
            width_ms = ABOVE.get(level, level).width_ms
            await _delete(database, level, Interval(tenant_id, floor(oldest_ms, width_ms)))


async def _delete(database: Database, level: Level, interval: Interval) -> None:
    """A short transaction: whoever waits to write gets its turn behind it."""
    above = ABOVE.get(level)
    async with database.write() as session:
        if above is not None:
            # The mark keeps everybody from storing more of it meanwhile.
            await mark(session, above, [interval])
            await sum_marked(session, above, interval)
        condition = within(level, interval, (above or level).width_ms)
        await session.execute(delete(TABLES[level].model).where(condition))
        await session.commit()


async def _tenants_with_older(database: Database, level: Level, before_ms: int) -> AsyncIterator[str]:
    """Looks before anything is written: an idle server writes nothing."""
    table, last_id = TABLES[level], ""
    # One look into the index for each tenant and environment, where the oldest come first.
    older = [
        exists().where(
            table.model.tenant_id == TenantRow.id,
            table.model.environment == environment.value,
            table.start < from_ms(before_ms),
        )
        for environment in Environment
    ]
    tenants = select(TenantRow.id, or_(*older)).order_by(TenantRow.id).limit(TENANTS_A_STATEMENT)
    while True:
        async with database.read() as session:
            portion = (await session.execute(tenants.where(TenantRow.id > last_id))).all()
        for tenant_id, has_older in portion:
            if has_older:
                yield tenant_id
        if len(portion) < TENANTS_A_STATEMENT:
            return
        last_id = portion[-1][0]


async def _oldest_ms(session: AsyncSession, level: Level, tenant_id: str) -> int | None:
    table = TABLES[level]
    found = []
    for environment in Environment:
        statement = select(func.min(table.start)).where(
            table.model.tenant_id == tenant_id, table.model.environment == environment.value
        )
        found.append(await session.scalar(statement))
    return min((to_ms(each) for each in found if each is not None), default=None)
