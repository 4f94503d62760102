"""Which miner a call means, and that it was heard of.

Signs of life are many and small: hundreds of miners poll and send heartbeats every few seconds. They are noted in
memory and written together, so that they never queue up before other writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc.schemas.miners import Heartbeat
from aitbc_server.actor import Actor
from aitbc_server.clock import Timestamp, from_ms, now, to_ms
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import Code, DomainError
from aitbc_server.jobs import leases
from aitbc_server.miners import repository
from aitbc_server.miners.model import MinerRow
from aitbc_server.miners.repository import Beat, MinerName
from aitbc_server.periodic import repeating

#: What nobody waits for is written at most this long after it was noted.
FLUSH_INTERVAL_S = 1.0
# Who waits does so no longer than this and the write itself: ten small transactions a second, however many miners.
_PAUSE_S = 0.1


async def registered(session: AsyncSession, actor: Actor, miner_id: str | None) -> MinerRow:
    """The acting key's miner: the named one, else the one that it registered last.

    A miner belongs to the tenant that its key acted for when it registered. Raises ``not_found`` that says what
    to do for a miner that is not registered.
    """
    kid = actor.kid or ""
    found = repository.latest(session, kid) if miner_id is None else repository.get(session, kid, miner_id)
    row = await found
    if row is None or row.tenant_id != actor.tenant_id:
        raise _not_registered(miner_id if row is None else row.miner_id)
    return row


class Presence:
    """When each miner was last heard of. ``lease_s`` is how long a lease lasts without a sign of life."""

    def __init__(self, units: UnitsOfWork, *, lease_s: float) -> None:
        self._units = units
        self._lease_s = lease_s
        # All that is not known to be in the database. It stays until it is.
        self._seen: dict[MinerName, Timestamp] = {}
        self._beats: dict[MinerName, Beat] = {}
        self._writing = asyncio.Lock()
        self._next_write: asyncio.Task[None] | None = None
        self._earliest_s = 0.0

    def seen(self, kid: str, miner_id: str, said: Heartbeat | None = None) -> None:
        """The miner gave a sign of life now: it is online, and the leases that live now last for ``lease_s``.

        Whoever must not answer before that holds waits for ``written``.
        """
        at = now(self._units.clock)
        self._seen[kid, miner_id] = at
        if said is not None:
            self._beats[kid, miner_id] = Beat(at, said)

    async def written(self, kid: str, miner_id: str) -> None:
        """Return once all that was noted of this miner so far is in the database. Raises ``unavailable``."""
        if (kid, miner_id) in self._seen:
            await self.flush()

    async def flush(self) -> None:
        """Write what was noted so far, in one transaction that all who come before it begins share.

        What could not be written stays noted. Raises ``unavailable``.
        """
        if not self._seen:
            return
        if self._next_write is None:
            self._next_write = asyncio.create_task(self._write_next())
            # An error that nobody waits for any more has been seen.
            self._next_write.add_done_callback(lambda done: done.cancelled() or done.exception())
        # Whoever gives up waiting must not take the write away from the others.
        await asyncio.shield(self._next_write)

    def bring_up(self, rows: Iterable[MinerRow]) -> None:
        """Let rows that were just read, and are only shown, say when their miners were last heard of."""
        for row in rows:
            row.last_seen_at = max(row.last_seen_at, self._seen.get((row.kid, row.miner_id), row.last_seen_at))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write once a second until the block is left, and then what is left."""
        async with repeating(self.flush, interval_s=FLUSH_INTERVAL_S, name="writing when miners were seen"):
            yield
        with suppress(DomainError):
            await self.flush()

    async def _write_next(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._writing:
            await asyncio.sleep(self._earliest_s - loop.time())
            # Who comes from here on is too late for this one.
            self._next_write = None
            try:
                await self._write(dict(self._seen), dict(self._beats))
            finally:
                self._earliest_s = loop.time() + _PAUSE_S

    async def _write(self, seen: dict[MinerName, Timestamp], beats: dict[MinerName, Beat]) -> None:
        if not seen:
            return
        until = {miner: lease_end(at, self._lease_s) for miner, at in seen.items()}
        async with self._units.begin() as unit:
            # Miners before jobs, and in one order, as everybody who locks both: two writes never block each other.
            await repository.write_seen(unit.session, seen)
            await repository.write_beats(unit.session, beats)
            await leases.extend(unit.session, [(miner, seen[miner], until[miner]) for miner in sorted(seen)])
            await unit.commit()
        for miner, at in seen.items():
            if self._seen.get(miner) == at:
                del self._seen[miner]
        for miner, beat in beats.items():
            if self._beats.get(miner) is beat:
                del self._beats[miner]


def lease_end(at: Timestamp, lease_s: float) -> Timestamp:
    """When a lease that is given or renewed now lapses."""
    return from_ms(to_ms(at + timedelta(seconds=lease_s)))


def _not_registered(miner_id: str | None) -> DomainError:
    which = "No miner" if miner_id is None else f"The miner {miner_id!r}"
    negation = "" if miner_id is None else " not"
    return DomainError(
        Code.NOT_FOUND, f"{which} is{negation} registered with this API key. Call POST /v1/miners/register first."
    )
