"""Leases: one miner runs a job at a time, for as long as it gives signs of life.

QUEUED -> RUNNING (claimed) -> COMPLETED or FAILED (reported), or QUEUED again when the lease lapses, until the
attempts are used up. Every function changes rows in its caller's transaction; times are passed in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from aitbc.schemas.jobs import JobState
from aitbc_server.clock import Timestamp
from aitbc_server.errors import conflict, not_found
from aitbc_server.ids import new_id
from aitbc_server.jobs import repository
from aitbc_server.jobs.model import QUEUED, RUNNING, JobRow
from aitbc_server.jobs.waiting import Offer, Seeker

MAX_ATTEMPTS = 3
#: How many jobs of the queue are looked at in one query.
PORTION = 200


class Portion(NamedTuple):
    """A stretch of the queue: the jobs that fit, oldest first, and where the rest begins (None: there is none)."""

    offers: list[Offer]
    rest: repository.Place | None


async def candidates(
    session: AsyncSession, seeker: Seeker, at: Timestamp, after: repository.Place | None = None
) -> Portion:
    """The queued jobs of the next stretch that the miner may have.

    Whoever goes on until there is no rest has seen the whole queue: a job that nobody here can run holds up none
    behind it.
    """
    rows = (await session.execute(queue_page(seeker, at, after))).all()
    offers = [Offer(row.id, seeker.environment, row.tenant_id, row.constraints) for row in rows]
    rest = (rows[-1].requested_at, rows[-1].id) if len(rows) == PORTION else None
    return Portion([offer for offer in offers if seeker.may_have(offer)], rest)


def queue_page(seeker: Seeker, at: Timestamp, after: repository.Place | None) -> Select[str, Timestamp, str, Any]:
    """The next jobs of the queue, with all that matching needs."""
    query = select(JobRow.id, JobRow.requested_at, JobRow.tenant_id, JobRow.constraints).where(
        QUEUED, JobRow.environment == seeker.environment, JobRow.expires_at > at
    )
    if seeker.only_its_tenant:
        query = query.where(JobRow.tenant_id == seeker.tenant_id)
    if after is not None:
        query = query.where(tuple_(JobRow.requested_at, JobRow.id) > repository.place(after))
    return query.order_by(JobRow.requested_at, JobRow.id).limit(PORTION)


def types(job_ids: Sequence[str]) -> Select[str, str | None]:
    """The type that each of these jobs names in its payload, without reading whole payloads."""
    return select(JobRow.id, JobRow.payload["type"].as_string().label("type")).where(JobRow.id.in_(job_ids))


async def held(session: AsyncSession, kid: str, miner_id: str, at: Timestamp) -> int:
    """How many live leases the miner holds."""
    query = select(func.count()).where(*_leases_of(kid, miner_id, at))
    return (await session.scalar(query)) or 0


async def claim(
    session: AsyncSession, seeker: Seeker, job_ids: Sequence[str], at: Timestamp, until: Timestamp
) -> JobRow | None:
    """Lease the oldest of these jobs that is still queued to the miner, until then; None where all are gone.

    On PostgreSQL a row that another claim has locked is passed over, so that each job is handed out once and
    nobody waits; on SQLite there is one writer.
    """
    row = (await session.scalars(_still_queued(job_ids, at))).one_or_none()
    if row is not None:
        row.state = JobState.RUNNING
        row.miner_kid, row.miner_id = seeker.kid, seeker.miner_id
        row.lease_expires_at = until
        row.attempts += 1
        row.holder_kids = [*row.holder_kids, seeker.kid]
    return row


async def extend(session: AsyncSession, signs: Sequence[tuple[tuple[str, str], Timestamp, Timestamp]]) -> None:
    """Miners (kid, miner_id) gave a sign of life at a time: the leases that lived then last until another.

    One that had lapsed by then is not revived.
    """
    rows = [{"of_kid": kid, "of_miner_id": miner_id, "at": at, "until": until} for (kid, miner_id), at, until in signs]
    # By the connection: the session would want each row's primary key to choose it.
    await (await session.connection()).execute(_EXTENSION, rows)


async def held_job(session: AsyncSession, job_id: str, kid: str, miner_id: str, at: Timestamp) -> JobRow:
    """The job that this miner holds the live lease of, locked.

    Raises ``not_found`` where its key never held a lease of it, ``conflict`` where it did and does not any more.
    """
    row = await repository.get(session, job_id, for_update=True)
    if row is None or kid not in row.holder_kids:
        raise not_found()
    if row.state not in {JobState.RUNNING, JobState.QUEUED}:
        raise conflict(f"The job is {row.state} already. A job takes one result, from the miner that holds its lease.")
    lives = row.lease_expires_at is not None and row.lease_expires_at > at
    if lives and row.miner_kid == kid and row.miner_id != miner_id:
        raise conflict(f"This key's miner {row.miner_id!r} holds the job's lease. Say that it is meant: ?miner_id=...")
    if not lives or row.miner_kid != kid:
        raise conflict("The lease on this job has lapsed: no heartbeat came in time. Another miner may have it now.")
    return row


def complete(row: JobRow, result: dict[str, Any], metrics: dict[str, Any], at: Timestamp) -> None:
    """The miner handed in the result: it gets a receipt."""
    row.state = JobState.COMPLETED
    row.result, row.metrics = result, metrics
    row.receipt = {"receipt_id": new_id("rcp"), "result_sha256": result_sha256(result)}
    row.finished_at, row.lease_expires_at = at, None


def fail(row: JobRow, error: str, metrics: dict[str, Any] | None, at: Timestamp) -> None:
    """The job is over, and this is why."""
    row.state, row.error = JobState.FAILED, error
    if metrics is not None:
        row.metrics = metrics
    row.finished_at, row.lease_expires_at = at, None


def lapse(row: JobRow, at: Timestamp) -> None:
    """The lease is over without a report: back to the queue, or the end where there is no time or attempt left."""
    if row.attempts >= MAX_ATTEMPTS:
        fail(row, f"lease_lapsed: no miner reported back in {MAX_ATTEMPTS} attempts", None, at)
        return
    row.miner_kid = row.miner_id = row.lease_expires_at = None
    if row.expires_at <= at:
        row.state, row.finished_at = JobState.EXPIRED, at
    else:
        row.state = JobState.QUEUED


def result_sha256(result: dict[str, Any]) -> str:
    """As ``aitbc.schemas.jobs.Receipt`` says, so that everybody can compute it again."""
    text = json.dumps(result, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _leases_of(kid: str, miner_id: str, at: Timestamp) -> tuple[ColumnElement[bool], ...]:
    return (RUNNING, JobRow.miner_kid == kid, JobRow.miner_id == miner_id, JobRow.lease_expires_at > at)


_UNTIL = bindparam("until", type_=JobRow.lease_expires_at.type)
_EXTENSION = (
    update(JobRow)
    .where(
        RUNNING,
        JobRow.miner_kid == bindparam("of_kid"),
        JobRow.miner_id == bindparam("of_miner_id"),
        JobRow.lease_expires_at > bindparam("at", type_=JobRow.lease_expires_at.type),
        JobRow.lease_expires_at < _UNTIL,
    )
    .values(lease_expires_at=_UNTIL)
)


def _still_queued(job_ids: Sequence[str], at: Timestamp) -> Select[JobRow]:
    columns = load_only(JobRow.id, JobRow.payload, JobRow.constraints, JobRow.attempts, JobRow.holder_kids)
    return (
        select(JobRow)
        .where(JobRow.id.in_(job_ids), QUEUED, JobRow.expires_at > at)
        .order_by(JobRow.requested_at, JobRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .options(columns)
    )
