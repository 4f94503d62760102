"""A job as people see it on the dashboard: with what programs know already, as it was they who sent it."""

from __future__ import annotations

from typing import Any

import msgspec

from aitbc.schemas.jobs import JobState, Receipt
from aitbc_server.clock import Timestamp
from aitbc_server.jobs import views
from aitbc_server.jobs.labels import label_of
from aitbc_server.jobs.model import JobRow


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A job in a list. ``attempts`` is how often it was handed to a miner; ``finished_at`` is None until it is final.

    ``key_id`` is the API key that submitted it. ``label``: see ``labels.py``.
    """

    job_id: str
    label: tuple[str, ...]
    environment: str
    state: JobState
    key_id: str
    miner_id: str | None
    attempts: int
    requested_at: Timestamp
    expires_at: Timestamp
    finished_at: Timestamp | None
    error: str | None


class JobDetails(JobRecord, frozen=True, kw_only=True):
    """A job with all that is kept of it. ``lease_expires_at``: until when its miner has to give a sign of life."""

    payload: Any
    constraints: dict[str, Any]
    payment_amount: float | None
    payment_currency: str | None
    lease_expires_at: Timestamp | None
    result: Any
    metrics: Any
    receipt: Receipt | None


def record(row: JobRow, at: Timestamp, label: tuple[str, ...] = ()) -> JobRecord:
    """The job in a list, as it stands at a time."""
    return JobRecord(**_common(row, at), label=label)


def details(row: JobRow, at: Timestamp) -> JobDetails:
    """The whole job."""
    return JobDetails(
        **_common(row, at),
        label=label_of(row.payload),
        payload=row.payload,
        constraints=row.constraints,
        payment_amount=row.payment_amount,
        payment_currency=row.payment_currency,
        lease_expires_at=row.lease_expires_at,
        result=row.result,
        metrics=row.metrics,
        receipt=None if row.receipt is None else views.receipt(row),
    )


def _common(row: JobRow, at: Timestamp) -> dict[str, Any]:
    state = views.state_at(row, at)
    # That a job has expired holds before it is written down.
    finished_at = row.expires_at if state is JobState.EXPIRED and row.finished_at is None else row.finished_at
    return {
        "job_id": row.id,
        "environment": row.environment,
        "state": state,
        "key_id": row.key_id,
        "miner_id": row.miner_id,
        "attempts": row.attempts,
        "requested_at": row.requested_at,
        "expires_at": row.expires_at,
        "finished_at": finished_at,
        "error": row.error,
    }
