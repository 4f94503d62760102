"""What is done beside the requests so that usage is quickly found, and not kept for longer than it shall be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aitbc_server.clock import Clock
from aitbc_server.db.engine import Database
from aitbc_server.periodic import repeating
from aitbc_server.usage import partitions, purging, summing
from aitbc_server.usage.levels import HOUR_MS, MINUTE_MS, Level, Retention

SUM_INTERVAL_S = 15.0
PURGE_INTERVAL_S = 3600.0
# Counts of a minute may still rise for two more: who sums up before that does it twice.
_SETTLED_MS = 3 * MINUTE_MS
# Of other nodes the clock may be behind, and somebody may be reading what is to go.
_PURGED_LATER_MS = HOUR_MS


class UsageUpkeep:
    """Sums up hours and days that are over, and deletes what is older than it is kept.

    Every node of a fleet may run it, and any part of it may be done twice: one of them at a time does it.
    """

    def __init__(self, database: Database, clock: Clock, retention: Retention) -> None:
        self._database = database
        self._clock = clock
        self._retention = retention

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until the block is left; what is at hand then is finished first."""
        async with (
            repeating(self.sum_up, interval_s=SUM_INTERVAL_S, name="summing up usage"),
            repeating(self.purge, interval_s=PURGE_INTERVAL_S, name="deleting old usage"),
        ):
            yield

    async def sum_up(self) -> None:
        """Sum up every hour and day that is over and marked, the oldest first."""
        for level in (Level.HOUR, Level.DAY):
            before_ms = self._now_ms() - level.width_ms - _SETTLED_MS
            while await summing.sum_some(self._database, level, before_ms):
                pass

    async def purge(self) -> None:
        """Delete what is older than it is kept; on PostgreSQL, make the tables that the next days' minutes go to."""
        now_ms = self._now_ms()
        if not self._database.is_sqlite:
            await partitions.make_ahead(self._database, now_ms)
        for level in Level:
            before_ms = self._retention.kept_from_ms(level, now_ms - _PURGED_LATER_MS)
            if level is Level.MINUTE and not self._database.is_sqlite:
                await partitions.drop_before(self._database, before_ms)
            await purging.purge(self._database, level, before_ms)

    def _now_ms(self) -> int:
        return self._clock() // 1000
