"""Queries on jobs, as their owner asks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from aitbc.schemas.jobs import JobState
from aitbc.schemas.scopes import Environment
from aitbc_server.clock import Timestamp
from aitbc_server.jobs.model import JobRow

#: A place in a list that is ordered by time and id: the last job that was shown.
Place = tuple[Timestamp, str]

_ID = re.compile(r"job_[0-9A-Za-z]{1,36}")

# A payload or a result may have a MiB: they are read only where they are shown.
_SHOWN = load_only(
    JobRow.id,
    JobRow.tenant_id,
    JobRow.environment,
    JobRow.key_id,
    JobRow.state,
    JobRow.requested_at,
    JobRow.expires_at,
    JobRow.finished_at,
    JobRow.error,
    JobRow.miner_kid,
    JobRow.miner_id,
    JobRow.holder_kids,
    JobRow.lease_expires_at,
    JobRow.attempts,
    raiseload=True,
)


async def get(session: AsyncSession, job_id: str, *, for_update: bool = False) -> JobRow | None:
    """The job, of whatever tenant and without payload, result and metrics; None for what is not even an id."""
    if not _ID.fullmatch(job_id):
        return None
    query = select(JobRow).where(JobRow.id == job_id).options(_SHOWN)
    return (await session.scalars(query.with_for_update() if for_update else query)).one_or_none()


async def get_result(session: AsyncSession, job_id: str) -> JobRow | None:
    """The job with its result and receipt."""
    if not _ID.fullmatch(job_id):
        return None
    query = select(JobRow).where(JobRow.id == job_id)
    return (await session.scalars(query.options(_SHOWN, load_only(JobRow.result, JobRow.receipt)))).one_or_none()


async def get_whole(session: AsyncSession, job_id: str) -> JobRow | None:
    """The job with everything that is kept of it."""
    if not _ID.fullmatch(job_id):
        return None
    return (await session.scalars(select(JobRow).where(JobRow.id == job_id))).one_or_none()


async def page(
    session: AsyncSession,
    tenant_id: str,
    environment: str | None,
    *,
    state: JobState | None,
    created_after: Timestamp | None,
    created_before: Timestamp | None,
    at: Timestamp,
    before: Place | None,
    limit: int,
) -> Sequence[JobRow]:
    """A tenant's jobs, newest first, of both environments where ``environment`` is None; ``limit`` + 1 at most.

    ``state`` is meant as it is at the time ``at``; ``created_after`` and ``created_before`` are excluded themselves.
    """
    query = select(JobRow).where(JobRow.tenant_id == tenant_id).options(_SHOWN)
    if state is not None:
        query = query.where(_is_in(state, at))
    if created_after is not None:
        query = query.where(JobRow.requested_at > created_after)
    if created_before is not None:
        query = query.where(JobRow.requested_at < created_before)
    if before is not None:
        query = query.where(tuple_(JobRow.requested_at, JobRow.id) < place(before))
    newest_first = query.order_by(JobRow.requested_at.desc(), JobRow.id.desc()).limit(limit + 1)
    # One environment after the other: the list's index holds each in this order, and both together in none.
    found: list[JobRow] = []
    for each in Environment if environment is None else (environment,):
        found += await session.scalars(newest_first.where(JobRow.environment == each))
    return sorted(found, key=lambda row: (row.requested_at, row.id), reverse=True)[: limit + 1]


def place(at: Place) -> ColumnElement[tuple[Timestamp, str]]:
    """A place in the list, to compare ``tuple_(requested_at, id)`` with."""
    return tuple_(literal(at[0], JobRow.requested_at.type), literal(at[1]))


def _is_in(state: JobState, at: Timestamp) -> ColumnElement[bool]:
    """The same as ``views.state_at``: a queued job expires at its very moment."""
    if state is JobState.QUEUED:
        return and_(JobRow.state == state, JobRow.expires_at > at)
    if state is JobState.EXPIRED:
        overdue = and_(JobRow.state == JobState.QUEUED, JobRow.expires_at <= at)
        return or_(JobRow.state == state, overdue)
    return JobRow.state == state
