"""Draining the fence outbox: what another process changed takes effect in this one."""

from __future__ import annotations

from aitbc_server.db import outbox
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import Dropper

DRAIN_INTERVAL_S = 0.1


class OutboxDrainer:
    """For the one process that serves a database: its own cache forgets, then the rows go."""

    def __init__(self, database: Database, drop: Dropper) -> None:
        self._database = database
        self._drop = drop

    async def drain(self) -> None:
        """Drop what is pending, then delete it: whoever sees a row gone knows that the change is in effect.

        A load that began before the drop is not put back into the cache; one that begins later reads what was
        committed before the row was seen.
        """
        async with self._database.read() as session:
            rows = await outbox.pending(session)
        if not rows:
            return
        self._drop({row.tenant_id for row in rows})
        async with self._database.write() as session:
            await outbox.remove(session, [row.id for row in rows])
            await session.commit()
