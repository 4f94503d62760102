"""Miners that were not heard of for long are forgotten: a host's name is used for a while, and a row costs for ever."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from aitbc_server.clock import from_ms, now, to_ms
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.miners import repository
from aitbc_server.miners.presence import Presence
from aitbc_server.periodic import repeating

#: A miner that comes back later registers anew, as it does at every start.
KEPT_FOR = timedelta(days=30)
INTERVAL_S = 3600.0
_PORTION = 500


def running(units: UnitsOfWork, presence: Presence) -> AbstractAsyncContextManager[None]:
    """Purge once an hour until the block is left."""
    return repeating(lambda: purge(units, presence), interval_s=INTERVAL_S, name="forgetting miners")


async def purge(units: UnitsOfWork, presence: Presence) -> None:
    """Forget the miners that were not seen for ``KEPT_FOR`` and run no job, in short transactions."""
    await presence.flush()
    before = from_ms(to_ms(now(units.clock) - KEPT_FOR))
    while True:
        # Looks before it writes: an idle server writes nothing.
        async with units.read() as session:
            names = await repository.unseen_since(session, before, limit=_PORTION)
        if not names:
            return
        async with units.begin() as unit:
            await repository.delete_unseen(unit.session, names, before)
            await unit.commit()
