"""What happened to a job, as far as it is kept: the steps of its life, in their order, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from aitbc.schemas.jobs import JobState
from aitbc_server.clock import Timestamp
from aitbc_server.jobs.leases import MAX_ATTEMPTS
from aitbc_server.jobs.records import JobDetails


class Step(NamedTuple):
    """One thing that happened. ``at`` is None where only the fact is kept; ``tone`` is how it should look."""

    words: str
    at: Timestamp | None
    tone: str = "plain"


def history(job: JobDetails) -> list[Step]:
    """The steps. When miners took a job is not kept, nor who they were: only how often, and who has or had it last."""
    return [Step("Submitted", job.requested_at), *_attempts(job), _last(job)]


def _attempts(job: JobDetails) -> Iterator[Step]:
    given_back = job.attempts - (1 if job.miner_id is not None else 0)
    if given_back:
        times = "once" if given_back == 1 else f"{given_back} times"
        yield Step(f"Back in the queue {times}: the miner that had it gave no sign of life", None, "warning")
    if job.miner_id is not None:
        yield Step(f"Taken by the miner {job.miner_id} (attempt {job.attempts} of {MAX_ATTEMPTS})", None)


def _last(job: JobDetails) -> Step:
    match job.state:
        case JobState.QUEUED:
            return Step("Waiting for a miner that can run it", None, "accent")
        case JobState.RUNNING:
            return Step("Running", None, "accent")
        case JobState.COMPLETED:
            return Step("Completed", job.finished_at, "good")
        case JobState.FAILED:
            return Step("Failed", job.finished_at, "danger")
        case JobState.CANCELED:
            return Step("Cancelled", job.finished_at, "warning")
        case JobState.EXPIRED:
            return Step("Expired: its time was over before a miner had run it", job.finished_at, "warning")
