"""Draining the fence outbox: what was changed elsewhere takes effect here, and what was left half done is finished."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

from aitbc_server.clock import Clock, from_ms, now, to_ms
from aitbc_server.db import outbox
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import Dropper

#: An operator's command waits for the one server of a database to have drained its rows.
DRAIN_INTERVAL_S = 0.1
#: The nodes of a fleet have fences besides; this is their second line.
FLEET_DRAIN_INTERVAL_S = 1.0

#: So long a row can be read after it was drained.
_FEED = timedelta(minutes=1)

#: Makes the shared store's fences of these tenants new; raises where that cannot be.
Raiser = Callable[[Iterable[str]], Awaitable[None]]


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
        self._seen: set[int] = set()

    async def drain(self) -> None:
        """Whoever sees a row drained knows that the change is in effect. Raises what ``raise_fences`` raises."""
        if not await self._database.ask(outbox.ANY, {}):
            # Nothing was changed for a minute: so it is nearly always, and this is asked several times a second.
            self._seen = set()
            return
        async with self._database.read() as session:
            rows = await outbox.feed(session)
        # By id and not by "later than the last": on PostgreSQL a smaller number may be committed later.
        fresh = {row.tenant_id for row in rows if row.id not in self._seen}
        if fresh:
            self._drop(fresh)
        self._seen = {row.id for row in rows}
        pending = [row for row in rows if row.drained_at is None]
        if pending and self._raise_fences is not None:
            await self._raise_fences({row.tenant_id for row in pending})
        at = now(self._clock)
        before = from_ms(to_ms(at - _FEED))
        old = any(row.drained_at is not None and row.drained_at < before for row in rows)
        if pending or old:
            async with self._database.write() as session:
                await outbox.mark_drained(session, [row.id for row in pending], at)
                await outbox.purge(session, before)
                await session.commit()
