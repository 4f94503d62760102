"""What a job's owner may do: submit, look, fetch the result, cancel.

A job belongs to a tenant and an environment; for everybody else it is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec

from aitbc.schemas.common import Page
from aitbc.schemas.jobs import CreateJob, Job, JobResult, JobState
from aitbc.schemas.scopes import Environment
from aitbc_server.actor import Actor
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Timestamp, from_ms, now, to_ms
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import Code, DomainError, conflict, not_found
from aitbc_server.idempotency.service import IdempotencyKeys
from aitbc_server.ids import new_id
from aitbc_server.jobs import repository, views
from aitbc_server.jobs.labels import labels
from aitbc_server.jobs.model import JobRow
from aitbc_server.jobs.records import JobDetails, JobRecord, details, record
from aitbc_server.jobs.submission import parse_job
from aitbc_server.jobs.waiting import Offer, WaitingRoom
from aitbc_server.pagination import DEFAULT_LIMIT, Cursors, cut, listing


class _Wanted(NamedTuple):
    """Which jobs are listed; None: any."""

    tenant_id: str
    environment: Environment | None
    state: JobState | None
    created_after: Timestamp | None = None
    created_before: Timestamp | None = None


class JobService:
    """Jobs, as the tenant that owns them sees them."""

    def __init__(
        self, units: UnitsOfWork, cursors: Cursors, idempotency: IdempotencyKeys, waiting: WaitingRoom, audit: AuditLog
    ) -> None:
        self._units = units
        self._audit = audit
        self._cursors = cursors
        self._idempotency = idempotency
        self._waiting = waiting

    async def create(
        self, actor: Actor, body: Mapping[str, Any], *, route: str, idempotency_key: str | None = None
    ) -> Job:
        """Queue the job that ``body`` describes, in either form. Once this returns, it is not lost.

        The same ``idempotency_key`` on the same ``route`` gives the first job, as it stands now. Raises
        ``validation_error`` that names the field, and ``conflict`` for a key that came with another body.
        """
        wanted = parse_job(body)
        row = self._new_row(actor, wanted)
        with self._idempotency.running(actor, route, idempotency_key, wanted) as claim:
            async with self._units.begin() as unit:
                earlier_id = await self._idempotency.claim(unit.session, claim, row.id)
                if earlier_id is not None:
                    return views.job(_own(await repository.get(unit.session, earlier_id), actor), self._now())
                unit.session.add(row)
                await unit.commit()
        self._waiting.queued(Offer(row.id, row.environment, row.tenant_id, row.constraints))
        return views.job(row, row.requested_at)

    async def get(self, actor: Actor, job_id: str) -> Job:
        """The job as it stands now."""
        async with self._units.read() as session:
            row = _own(await repository.get(session, job_id), actor)
        return views.job(row, self._now())

    async def result(self, actor: Actor, job_id: str) -> JobResult:
        """The result of a final job. Raises ``not_ready`` while it is not final."""
        at = self._now()
        async with self._units.read() as session:
            row = _own(await repository.get_result(session, job_id), actor)
        if not views.is_final(row, at):
            raise DomainError(Code.NOT_READY, f"The job is {row.state}. Its result is here once it is final.")
        return views.job_result(row, at)

    async def list(
        self,
        actor: Actor,
        *,
        state: JobState | None = None,
        created_after: Timestamp | None = None,
        created_before: Timestamp | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[Job]:
        """The tenant's jobs of the actor's environment, newest first."""
        wanted = _Wanted(actor.tenant_id, actor.environment, state, created_after, created_before)
        rows, following, at = await self._page(wanted, limit, cursor)
        return Page[Job](items=[views.job(row, at) for row in rows], next_cursor=following)

    async def list_records(
        self,
        actor: Actor,
        *,
        state: JobState | None = None,
        environment: Environment | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[JobRecord]:
        """The same for people, who see both environments or choose one."""
        wanted = _Wanted(actor.tenant_id, actor.environment or environment, state)
        rows, following, at = await self._page(wanted, limit, cursor)
        async with self._units.read() as session:
            words = await labels(session, [row.id for row in rows])
        return Page[JobRecord](items=[record(row, at, words.get(row.id, ())) for row in rows], next_cursor=following)

    async def details(self, actor: Actor, job_id: str) -> JobDetails:
        """The job with all that is kept of it."""
        async with self._units.read() as session:
            row = _own(await repository.get_whole(session, job_id), actor)
        return details(row, self._now())

    async def cancel(self, actor: Actor, job_id: str) -> Job:
        """End the job now, also while a miner runs it. Raises ``conflict`` where it is final already.

        What a person does stands in the audit log. What keys do to jobs does not: jobs are what keys are for, and each
        of them, and the usage, tells it.
        """
        at = self._now()
        async with self._units.begin() as unit:
            row = _own(await repository.get(unit.session, job_id, for_update=True), actor)
            if views.is_final(row, at):
                raise conflict(
                    f"The job is {views.state_at(row, at)} already; only a queued or running job can be cancelled."
                )
            before, was_running = row.state, row.state == JobState.RUNNING
            row.state, row.finished_at, row.lease_expires_at = JobState.CANCELED, at, None
            if actor.type == "user":
                await self._audit.record(
                    unit.session,
                    actor,
                    "job.canceled",
                    ("job", row.id),
                    before={"state": before},
                    after={"state": row.state},
                    environment=row.environment,
                )
            await unit.commit()
        if was_running and row.miner_kid is not None and row.miner_id is not None:
            self._waiting.freed(row.miner_kid, row.miner_id)
        return views.job(row, at)

    async def _page(
        self, wanted: _Wanted, limit: int, cursor: str | None
    ) -> tuple[Sequence[JobRow], str | None, Timestamp]:
        """A page of the list, the cursor of the next one, and the time as of which the jobs are meant."""
        shown = listing("jobs", *wanted)
        before = None if cursor is None else self._cursors.decode(shown, cursor)
        at = self._now()
        async with self._units.read() as session:
            found = await repository.page(
                session,
                wanted.tenant_id,
                wanted.environment,
                state=wanted.state,
                created_after=wanted.created_after,
                created_before=wanted.created_before,
                at=at,
                before=before,
                limit=limit,
            )
        rows, more = cut(list(found), limit)
        return rows, self._cursors.encode(shown, rows[-1].requested_at, rows[-1].id) if more else None, at

    def _new_row(self, actor: Actor, wanted: CreateJob) -> JobRow:
        at = self._now()
        constraints = msgspec.to_builtins(wanted.constraints) if wanted.constraints is not None else {}
        return JobRow(
            id=new_id("job"),
            tenant_id=actor.tenant_id,
            environment=actor.environment or Environment.LIVE,
            key_id=actor.id or "",
            state=JobState.QUEUED,
            payload=wanted.payload,
            constraints={name: value for name, value in constraints.items() if value is not None},
            payment_amount=wanted.payment_amount,
            payment_currency=wanted.payment_currency,
            requested_at=at,
            expires_at=from_ms(to_ms(at + timedelta(seconds=wanted.ttl_seconds))),
            attempts=0,
            holder_kids=[],
        )

    def _now(self) -> Timestamp:
        return now(self._units.clock)


def _own(row: JobRow | None, actor: Actor) -> JobRow:
    """The row, if it is the actor's to see. A person (environment None) sees both environments."""
    if row is None or row.tenant_id != actor.tenant_id or actor.environment not in {None, row.environment}:
        raise not_found()
    return row
