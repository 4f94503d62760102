"""What runs a job: the protocol, and how it says that it cannot."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

JsonObject = dict[str, Any]


class JobFailed(Exception):  # noqa: N818 - it ends the job, not the miner
    """The job failed for good: its client is told ``code`` (a stable word) and ``message`` (a sentence)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Runner(Protocol):
    """Runs jobs, one at a time in each thread that calls ``run``."""

    @property
    def job_types(self) -> Sequence[str]:
        """The job types that it can run; empty: it decides job by job."""

    def run(self, job_id: str, payload: JsonObject, cancelled: threading.Event) -> JsonObject:
        """Do the work and return the result, a JSON object.

        Ends soon after ``cancelled`` is set; what it then returns or raises is not reported. Raises JobFailed.
        """


def unsupported(payload: JsonObject, job_types: Sequence[str], why: str = "") -> JobFailed:
    """The failure of a job that this miner cannot run, naming what it can."""
    job_type = payload.get("type")
    what = f"jobs of type {job_type!r}" if isinstance(job_type, str) else "a job without a type"
    can = ", ".join(job_types) or "nothing else"
    return JobFailed("unsupported_job_type", f"this miner cannot run {what}{why}; it can run: {can}")


def check_type(payload: JsonObject, job_types: Sequence[str]) -> None:
    """Raise the failure for a payload whose type is not among ``job_types``; empty ``job_types`` take all."""
    if job_types and payload.get("type") not in job_types:
        raise unsupported(payload, job_types)
