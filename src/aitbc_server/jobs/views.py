"""A job as the API shows it."""

from __future__ import annotations

from aitbc.schemas.jobs import FINAL_STATES, Job, JobResult, JobState, Receipt
from aitbc_server.clock import Timestamp
from aitbc_server.jobs.model import JobRow


def state_at(row: JobRow, at: Timestamp) -> JobState:
    """The job's state: a queued one is EXPIRED from its very moment on, not only once that is written down."""
    state = JobState(row.state)
    return JobState.EXPIRED if state is JobState.QUEUED and row.expires_at <= at else state


def is_final(row: JobRow, at: Timestamp) -> bool:
    """Whether nothing changes about the job any more."""
    return state_at(row, at) in FINAL_STATES


def job(row: JobRow, at: Timestamp) -> Job:
    """The job as its owner sees it."""
    return Job(
        job_id=row.id,
        state=state_at(row, at),
        assigned_miner_id=row.miner_id,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        error=row.error,
    )


def job_result(row: JobRow, at: Timestamp) -> JobResult:
    """A final job's result."""
    shown_receipt = receipt(row) if row.receipt is not None else None
    return JobResult(job_id=row.id, state=state_at(row, at), result=row.result, error=row.error, receipt=shown_receipt)


def receipt(row: JobRow) -> Receipt:
    """The receipt of a COMPLETED job; the row keeps only what is nowhere else in it."""
    assert row.miner_id is not None
    assert row.finished_at is not None
    return Receipt(
        receipt_id=row.receipt["receipt_id"],
        job_id=row.id,
        miner_id=row.miner_id,
        completed_at=row.finished_at,
        result_sha256=row.receipt["result_sha256"],
    )
