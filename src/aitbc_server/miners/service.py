"""What a miner does with its key, but for waiting for work (``polling.py``): register, report, hand in."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from aitbc.schemas.common import Page
from aitbc.schemas.jobs import Receipt
from aitbc.schemas.miners import Heartbeat, Miner, RegisterMiner, SubmitFailure, SubmitResult
from aitbc_server.actor import Actor
from aitbc_server.clock import Timestamp, from_ms, now, to_ms
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import invalid
from aitbc_server.ids import new_id
from aitbc_server.jobs import leases
from aitbc_server.jobs import views as job_views
from aitbc_server.jobs.waiting import WaitingRoom
from aitbc_server.json_limits import check_json, check_text
from aitbc_server.miners import repository, views
from aitbc_server.miners.model import MinerRow
from aitbc_server.miners.presence import registered, seen
from aitbc_server.pagination import DEFAULT_LIMIT, Cursors, cut

ONLINE = "ONLINE"
_MILLISECOND = timedelta(milliseconds=1)


class MinerService:
    """Miners and what they report. ``lease_s`` is how long a lease lasts without a sign of life."""

    def __init__(self, units: UnitsOfWork, cursors: Cursors, waiting: WaitingRoom, *, lease_s: float) -> None:
        self._units = units
        self._cursors = cursors
        self._waiting = waiting
        self._lease_s = lease_s

    async def register(self, actor: Actor, miner_id: str | None, wanted: RegisterMiner) -> str:
        """Register the miner, or replace what it said before; without an id: the key's latest one, else a new one.

        Returns a session token: existing miners expect one. It is random, kept nowhere, and opens nothing.
        """
        check_json("capabilities", wanted.capabilities)
        check_text("region", wanted.region or "")
        kid = actor.kid
        if kid is None or actor.environment is None:
            raise invalid("miner_id", "only an API key can be a miner")
        async with self._units.begin() as unit:
            latest = await repository.latest(unit.session, kid)
            if miner_id is None:
                miner_id = latest.miner_id if latest is not None else new_id("miner")
            row = await repository.get(unit.session, kid, miner_id, for_update=True)
            if row is None:
                row = MinerRow(kid=kid, miner_id=miner_id, environment=actor.environment)
                unit.session.add(row)
            at = self._now()
            row.tenant_id = actor.tenant_id
            row.capabilities, row.concurrency, row.region = wanted.capabilities, wanted.concurrency, wanted.region
            row.status, row.inflight, row.status_metadata, row.last_seen_at = ONLINE, 0, {}, at
            # Later than every other of the key's, also within the same millisecond: "the latest" is one miner.
            row.registered_at = at if latest is None else max(at, _after(latest.registered_at))
            await unit.commit()
        return secrets.token_urlsafe(32)

    async def heartbeat(self, actor: Actor, miner_id: str | None, beat: Heartbeat) -> None:
        """The miner is alive: its leases go on."""
        check_json("metadata", beat.metadata)
        check_text("status", beat.status)
        async with self._units.begin() as unit:
            row = await registered(unit.session, actor, miner_id, for_update=True)
            row.inflight, row.status, row.status_metadata = beat.inflight, beat.status, beat.metadata
            await seen(unit.session, row, self._now(), self._lease_s)
            await unit.commit()

    async def submit_result(self, actor: Actor, job_id: str, miner_id: str | None, done: SubmitResult) -> Receipt:
        """Complete the job; a job takes one result, from the miner that holds its live lease.

        Raises ``not_found`` for a job that this key never held, ``conflict`` for one that it does not hold any more.
        """
        check_json("result", done.result)
        check_json("metrics", done.metrics)
        at = self._now()
        async with self._units.begin() as unit:
            miner = await registered(unit.session, actor, miner_id)
            row = await leases.held_job(unit.session, job_id, miner.kid, miner.miner_id, at)
            leases.complete(row, done.result, done.metrics, at)
            receipt = job_views.receipt(row)
            await unit.commit()
        self._waiting.freed(miner.kid, miner.miner_id)
        return receipt

    async def submit_failure(self, actor: Actor, job_id: str, miner_id: str | None, failure: SubmitFailure) -> None:
        """Fail the job, for good. Raises as ``submit_result`` does."""
        check_text("error_code", failure.error_code)
        check_text("error_message", failure.error_message)
        check_json("metrics", failure.metrics)
        at = self._now()
        async with self._units.begin() as unit:
            miner = await registered(unit.session, actor, miner_id)
            row = await leases.held_job(unit.session, job_id, miner.kid, miner.miner_id, at)
            leases.fail(row, _error_text(failure), failure.metrics, at)
            await unit.commit()
        self._waiting.freed(miner.kid, miner.miner_id)

    async def list(self, actor: Actor, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> Page[Miner]:
        """The tenant's miners of the actor's environment, the most recently registered first."""
        listing = f"miners/{actor.tenant_id}/{actor.environment or ''}"
        before = None if cursor is None else _place(*self._cursors.decode(listing, cursor))
        async with self._units.read() as session:
            found = await repository.page(session, actor.tenant_id, actor.environment, before=before, limit=limit)
        rows, more = cut(list(found), limit)
        following = self._cursors.encode(listing, rows[-1].registered_at, _object_id(rows[-1])) if more else None
        at = self._now()
        return Page[Miner](items=[views.miner(row, at) for row in rows], next_cursor=following)

    def _now(self) -> Timestamp:
        return now(self._units.clock)


def _error_text(failure: SubmitFailure) -> str:
    return f"{failure.error_code}: {failure.error_message}" if failure.error_message else failure.error_code


def _after(moment: Timestamp) -> Timestamp:
    return from_ms(to_ms(moment + _MILLISECOND))


def _object_id(row: MinerRow) -> str:
    # A miner_id is unique within its key only. A kid has no colon.
    return f"{row.kid}:{row.miner_id}"


def _place(registered_at: Timestamp, object_id: str) -> Any:
    kid, _, miner_id = object_id.partition(":")
    return registered_at, kid, miner_id
