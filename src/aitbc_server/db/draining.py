"""Draining the fence outbox: what was changed elsewhere takes effect here, and what was left half done is finished."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from aitbc_server.clock import Clock, Timestamp, from_ms, now, to_ms
from aitbc_server.db import outbox
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import Dropper
from aitbc_server.db.unread import Unread
from aitbc_server.portions import portions

#: An operator's command waits for the one server of a database to have drained its rows.
DRAIN_INTERVAL_S = 0.1
#: The nodes of a fleet have fences besides; this is their second line.
FLEET_DRAIN_INTERVAL_S = 1.0

#: So long a row can be read after it was drained.
_FEED = timedelta(minutes=1)
# Between two portions that are written, the process is left to requests for longer than a portion holds it up.
_PAUSE_S = 0.01
# So many portions are written in one round; with the next ones the next round begins. Who stops a server waits for it.
_PORTIONS_A_ROUND = 20
# So many ranges of ids are asked for in one query.
_GAPS_A_QUERY = 50

#: Makes the shared store's fences of these tenants new; raises where that cannot be.
Raiser = Callable[[Iterable[str]], Awaitable[None]]
#: A portion of the outbox: ids and tenants.
Rows = Sequence[Any]


async def finish(
    database: Database, clock: Clock, take_effect: Callable[[Rows], Awaitable[None]], *, portions: int | None = None
) -> None:
    """Let what is pending take effect, and note it as drained, a portion at a time; everything, or so many portions.

    Any number of processes may do that with the same rows, any number of times. Raises what ``take_effect`` raises:
    what it was called with is pending then.
    """
    after = 0
    for _ in itertools.count() if portions is None else range(portions):
        rows = await database.ask(outbox.PENDING, {"after": after})
        if not rows:
            return
        await take_effect(rows)
        async with database.write() as session:
            await outbox.mark_drained(session, [row.id for row in rows], now(clock))
            await session.commit()
        if len(rows) < outbox.PORTION:
            return
        after = rows[-1].id
        await asyncio.sleep(_PAUSE_S)


class OutboxDrainer:
    """Drops what is new in the feed from this process's cache; raises the fences of what is pending, and notes it done.

    A load that began before the drop is not put back into the cache; one that begins later reads what was committed
    before the row was seen. Any number of nodes may drain the same rows, any number of times.
    """

    def __init__(self, database: Database, drop: Dropper, clock: Clock, raise_fences: Raiser | None = None) -> None:
        self._database = database
        self._drop = drop
        self._clock = clock
        self._raise_fences = raise_fences
        self._unread = Unread()

    async def drain(self) -> None:
        """One round. Whoever sees a row drained knows that the change is in effect.

        All that is new in the feed is dropped. Of what is pending and of what is old so much is written as does not
        take long; the next round goes on. Raises what ``raise_fences`` raises.
        """
        # Nearly always there is nothing: and this is asked several times a second.
        [state] = await self._database.ask(outbox.STATE, {})
        if state.newest is None or state.newest < self._unread.after:
            # Nothing was changed for a minute, or the database was replaced by one of another time: whatever it has by
            # now is new, and what has been read of it is read again, to nobody's harm.
            self._unread = Unread()
        if state.newest is None:
            return
        await self._read_gaps()
        if state.newest > self._unread.after:
            await self._read_later()
        await self._purge(state.drained_at)
        if state.pending is not None:
            await finish(self._database, self._clock, self._take_effect, portions=_PORTIONS_A_ROUND)

    async def _read_later(self) -> None:
        while rows := await self._database.ask(outbox.LATER, {"after": self._unread.after}):
            self._drop_new(rows)
            if len(rows) < outbox.PORTION:
                return

    async def _read_gaps(self) -> None:
        gaps = [(gap.first, gap.last) for gap in self._unread.gaps(self._clock())]
        for ranges in portions(gaps, _GAPS_A_QUERY):
            after, is_more = 0, True
            while is_more:
                async with self._database.read() as session:
                    rows = await outbox.between(session, after, ranges)
                self._drop_new(rows)
                is_more = len(rows) == outbox.PORTION
                after = rows[-1].id if rows else 0

    async def _take_effect(self, rows: Rows) -> None:
        # Some may have been committed since the feed was read.
        self._drop_new(rows)
        if self._raise_fences is not None:
            await self._raise_fences({row.tenant_id for row in rows})

    def _drop_new(self, rows: Rows) -> None:
        at_us = self._clock()
        new = {row.tenant_id for row in rows if self._unread.read(row.id, at_us)}
        if new:
            self._drop(new)

    async def _purge(self, drained_at_ms: int | None) -> None:
        before = from_ms(to_ms(now(self._clock) - _FEED))
        if drained_at_ms is None or drained_at_ms >= to_ms(before):
            return
        for _ in range(_PORTIONS_A_ROUND):
            if not await self._purge_portion(before):
                return
            await asyncio.sleep(_PAUSE_S)

    async def _purge_portion(self, before: Timestamp) -> bool:
        async with self._database.write() as session:
            is_more = await outbox.purge(session, before)
            await session.commit()
        return is_more
