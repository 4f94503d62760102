"""What happens to jobs when nobody asks: leases lapse, queued jobs expire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from aitbc.schemas.jobs import JobState
from aitbc_server.clock import Timestamp, now
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.jobs import leases
from aitbc_server.jobs.model import QUEUED, RUNNING, JobRow
from aitbc_server.jobs.waiting import Offer, WaitingRoom
from aitbc_server.periodic import repeating

#: How often to sweep. A job is back in the queue at most this long after its lease lapsed.
INTERVAL_S = 1.0
_PORTION = 200


class JobSweeper:
    """Takes back lapsed leases and writes down expiry. Any number of nodes may sweep: each row is taken by one."""

    def __init__(
        self, units: UnitsOfWork, waiting: WaitingRoom, write_signs_of_life: Callable[[], Awaitable[None]]
    ) -> None:
        """``write_signs_of_life``: what miners said by now is in the database when it returns."""
        self._units = units
        self._waiting = waiting
        self._write_signs_of_life = write_signs_of_life

    async def step(self) -> None:
        """Sweep all that is due. Looks before it writes: an idle server writes nothing."""
        while await self._is_due():
            if not await self._sweep():
                # Another node has the rows that were seen.
                return

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sweep in the background until the block is left; polls that wait then are sent home."""
        async with repeating(self.step, interval_s=INTERVAL_S, name="the job sweeper"):
            try:
                yield
            finally:
                self._waiting.close()

    async def _is_due(self) -> bool:
        at = now(self._units.clock)
        async with self._units.read() as session:
            for condition in (_lapsed(at), _expired(at)):
                if (await session.execute(select(JobRow.id).where(*condition).limit(1))).first() is not None:
                    return True
        return False

    async def _sweep(self) -> int:
        """Sweep one portion; how many rows were swept."""
        at = now(self._units.clock)
        # A lease that was renewed in time must not lapse because that is not written yet.
        await self._write_signs_of_life()
        async with self._units.begin() as unit:
            lapsed = await _locked(unit.session, _lapsed(at))
            holders = [(row.miner_kid or "", row.miner_id or "") for row in lapsed]
            for row in lapsed:
                leases.lapse(row, at)
            expired = await _locked(unit.session, _expired(at))
            for row in expired:
                row.state, row.finished_at = JobState.EXPIRED, at
            await unit.commit()
        for holder in holders:
            self._waiting.freed(*holder)
        for row in lapsed:
            if row.state == JobState.QUEUED:
                self._waiting.queued(Offer(row.id, row.environment, row.tenant_id, row.constraints))
        return len(lapsed) + len(expired)


def _lapsed(at: Timestamp) -> tuple[ColumnElement[bool], ...]:
    return RUNNING, JobRow.lease_expires_at <= at


def _expired(at: Timestamp) -> tuple[ColumnElement[bool], ...]:
    return QUEUED, JobRow.expires_at <= at


async def _locked(session: AsyncSession, condition: tuple[ColumnElement[bool], ...]) -> Sequence[JobRow]:
    columns = load_only(
        JobRow.tenant_id,
        JobRow.environment,
        JobRow.state,
        JobRow.constraints,
        JobRow.expires_at,
        JobRow.attempts,
        JobRow.miner_kid,
        JobRow.miner_id,
    )
    query = select(JobRow).where(*condition).limit(_PORTION).with_for_update(skip_locked=True).options(columns)
    return (await session.scalars(query)).all()
