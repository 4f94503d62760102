"""Handing out jobs: a miner asks, waits where there is nothing for it, and gets one lease at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc.schemas.miners import AssignedJob
from aitbc_server.actor import Actor
from aitbc_server.clock import Timestamp, now
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.jobs import leases
from aitbc_server.jobs.repository import Place
from aitbc_server.jobs.waiting import Seeker, Waiter, WaitingRoom
from aitbc_server.miners import repository
from aitbc_server.miners.model import MinerRow
from aitbc_server.miners.others import Others
from aitbc_server.miners.presence import Presence, lease_end, registered

#: Raises the DomainError with which the caller's key would be refused now.
StillAllowed = Callable[[], Awaitable[None]]


class _Nothing(Enum):
    """Why a look brought no job."""

    IN_QUEUE = auto()
    BUSY = auto()


_NO_CANDIDATES = leases.Portion([], None)


class JobDispatch:
    """Finds each miner the oldest job that it may have."""

    def __init__(self, units: UnitsOfWork, waiting: WaitingRoom, presence: Presence, *, lease_s: float) -> None:
        self._units = units
        self._waiting = waiting
        self._presence = presence
        self._lease_s = lease_s
        self._others = Others()

    async def poll(
        self,
        actor: Actor,
        miner_id: str | None,
        max_wait_s: float,
        *,
        still_allowed: StillAllowed,
        disconnected: Callable[[], Awaitable[None]],
    ) -> AssignedJob | None:
        """A job for the miner, leased to it; None where none came within ``max_wait_s``, or the server stops.

        None too where newer polls of the same miner wait: see ``POLLS_PER_MINER``.

        ``still_allowed`` is asked right before a job is leased: a key that was revoked meanwhile gets none.
        ``disconnected`` returns when the client went away, which ends the poll. Raises ``not_found`` for a miner
        that is not registered.
        """
        deadline = asyncio.get_running_loop().time() + max_wait_s
        async with self._waiting.place(await self._arrive(actor, miner_id), disconnected) as waiter:
            while not waiter.is_over:
                known = list(waiter.offers)
                left: set[str] = set()
                found = await self._look(waiter.seeker, still_allowed, left)
                if isinstance(found, AssignedJob):
                    self._waiting.taken(waiter, found.job_id)
                    return found
                if found is _Nothing.BUSY:
                    self._waiting.busy(waiter)
                else:
                    self._waiting.looked(waiter, known, left)
                if not await self._wait(waiter, deadline):
                    return None
        return None

    async def _arrive(self, actor: Actor, miner_id: str | None) -> Seeker:
        async with self._units.read() as session:
            row = await registered(session, actor, miner_id)
        self._presence.seen(row.kid, row.miner_id)
        return _seeker(row)

    async def _wait(self, waiter: Waiter, deadline: float) -> bool:
        """Wait for a reason to look again; False where the poll is over."""
        remaining_s = deadline - asyncio.get_running_loop().time()
        if self._waiting.closed or remaining_s <= 0:
            return False
        woken = await waiter.woken(min(remaining_s, self._waiting.recheck_s))
        return not self._waiting.closed and (woken or asyncio.get_running_loop().time() < deadline)

    async def _look(self, seeker: Seeker, still_allowed: StillAllowed, left: set[str]) -> AssignedJob | _Nothing:
        """Find and lease the oldest job. Only reads until there is one, so that waiting costs no write.

        ``left`` gets the ids of those that are for other miners.
        """
        at = now(self._units.clock)
        async with self._units.read() as session:
            held = await leases.held(session, seeker.kid, seeker.miner_id, at)
            is_busy = held >= seeker.concurrency
            portion = _NO_CANDIDATES if is_busy else await self._candidates(session, seeker, at, None, left)
        # No connection is held from here on: who holds one and waits for another can block everybody.
        if held:
            # The poll keeps these leases. Without one, that the miner was seen may be written a second later.
            await self._presence.written(seeker.kid, seeker.miner_id)
        if is_busy:
            return _Nothing.BUSY
        while True:
            if portion.offers:
                claimed = await self._claim(seeker, [offer.job_id for offer in portion.offers], still_allowed)
                if claimed is not None:
                    return claimed
            if portion.rest is None:
                return _Nothing.IN_QUEUE
            async with self._units.read() as session:
                portion = await self._candidates(session, seeker, at, portion.rest, left)

    async def _candidates(
        self, session: AsyncSession, seeker: Seeker, at: Timestamp, after: Place | None, left: set[str]
    ) -> leases.Portion:
        portion = await leases.candidates(session, seeker, at, after)
        better = await self._others.better_suited(session, seeker, portion.offers, at)
        left |= better
        return portion._replace(offers=[offer for offer in portion.offers if offer.job_id not in better])

    async def _claim(
        self, seeker: Seeker, job_ids: list[str], still_allowed: StillAllowed
    ) -> AssignedJob | _Nothing | None:
        await still_allowed()
        async with self._units.begin() as unit:
            # The miner's row is the lock under which its leases are counted.
            miner = await repository.get(unit.session, seeker.kid, seeker.miner_id, for_update=True)
            at = now(self._units.clock)
            if miner is None or await leases.held(unit.session, seeker.kid, seeker.miner_id, at) >= miner.concurrency:
                return _Nothing.BUSY
            row = await leases.claim(unit.session, seeker, job_ids, at, lease_end(at, self._lease_s))
            if row is None:
                return None
            miner.last_seen_at = at
            # Once more: the key may have been revoked while we waited for the lock.
            await still_allowed()
            await unit.commit()
        return AssignedJob(job_id=row.id, payload=row.payload, constraints=row.constraints)


def _seeker(row: MinerRow) -> Seeker:
    return Seeker(
        kid=row.kid,
        miner_id=row.miner_id,
        environment=row.environment,
        tenant_id=row.tenant_id,
        capabilities=row.capabilities,
        region=row.region,
        concurrency=row.concurrency,
    )
