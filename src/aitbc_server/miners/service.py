"""What a miner does with its key, but for waiting for work (``polling.py``): register, report, hand in."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement

from aitbc.schemas.common import Page
from aitbc.schemas.jobs import Receipt
from aitbc.schemas.miners import Heartbeat, Miner, RegisterMiner, SubmitFailure, SubmitResult
from aitbc.schemas.scopes import Environment
from aitbc_server.actor import Actor
from aitbc_server.clock import Timestamp, from_ms, now, to_ms
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import invalid
from aitbc_server.ids import new_id
from aitbc_server.jobs import leases
from aitbc_server.jobs import views as job_views
from aitbc_server.jobs.model import JobRow
from aitbc_server.jobs.waiting import WaitingRoom
from aitbc_server.json_limits import check_json, check_text
from aitbc_server.miners import repository, views
from aitbc_server.miners.model import MinerRow
from aitbc_server.miners.presence import Presence, registered
from aitbc_server.miners.records import MinerFilters, MinerRecord, MinerStatus, record
from aitbc_server.pagination import DEFAULT_LIMIT, Cursors, cut

ONLINE = "ONLINE"
_MILLISECOND = timedelta(milliseconds=1)


#: Hears of each job that a miner brought to its end, once that is stored.
JobEnded = Callable[[JobRow], None]


def _nobody(_row: JobRow) -> None:
    """Nobody wants to hear of it."""


class MinerService:
    """Miners and what they report."""

    def __init__(
        self,
        units: UnitsOfWork,
        cursors: Cursors,
        waiting: WaitingRoom,
        presence: Presence,
        on_ended: JobEnded = _nobody,
    ) -> None:
        self._units = units
        self._cursors = cursors
        self._waiting = waiting
        self._presence = presence
        self._on_ended = on_ended

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
        """The miner is alive: its leases go on, for sure once this returns."""
        check_json("metadata", beat.metadata)
        check_text("status", beat.status)
        async with self._units.read() as session:
            row = await registered(session, actor, miner_id)
        self._presence.seen(row.kid, row.miner_id, beat)
        await self._presence.written(row.kid, row.miner_id)

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
        self._on_ended(row)
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
        self._on_ended(row)

    async def list(self, actor: Actor, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> Page[Miner]:
        """The tenant's miners of the actor's environment, the most recently registered first."""
        listing = f"miners/{actor.tenant_id}/{actor.environment or ''}"
        rows, following = await self._page(listing, actor.tenant_id, actor.environment, (), limit, cursor)
        at = self._now()
        return Page[Miner](items=[views.miner(row, at) for row in rows], next_cursor=following)

    async def list_records(
        self, actor: Actor, filters: MinerFilters, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> Page[MinerRecord]:
        """The same for people, who see both environments or choose one.

        Of a status, it may take a second until a miner that has come back is found by it.
        """
        check_text("q", filters.q or "")
        at, conditions = self._now(), []
        if filters.status is not None:
            is_online = repository.seen_since(from_ms(to_ms(at - views.ONLINE_FOR)))
            conditions.append(is_online if filters.status is MinerStatus.ONLINE else ~is_online)
        if filters.q is not None:
            conditions.append(repository.named_like(filters.q))
        listing = f"miners/{actor.tenant_id}/{actor.environment or ''}/{filters!r}"
        environment = actor.environment or filters.environment
        rows, following = await self._page(listing, actor.tenant_id, environment, conditions, limit, cursor)
        records = [record(row, at) for row in rows]
        # One that was heard of, which is not written down yet, is none of those that are offline.
        shown = [each for each in records if filters.status in {None, each.status}]
        return Page[MinerRecord](items=shown, next_cursor=following)

    async def _page(
        self,
        listing: str,
        tenant_id: str,
        environment: Environment | None,
        conditions: Sequence[ColumnElement[bool]],
        limit: int,
        cursor: str | None,
    ) -> tuple[Sequence[MinerRow], str | None]:
        """A page of the list and the cursor of the next one."""
        before = None if cursor is None else _place(*self._cursors.decode(listing, cursor))
        async with self._units.read() as session:
            found = await repository.page(
                session, tenant_id, environment, before=before, limit=limit, conditions=conditions
            )
        self._presence.bring_up(found)
        rows, more = cut(list(found), limit)
        return rows, self._cursors.encode(listing, rows[-1].registered_at, _object_id(rows[-1])) if more else None

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
