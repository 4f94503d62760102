"""``client.jobs``: submit work, follow it, fetch its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aitbc._call import Call, Flow, Sleep, Time, path, query
from aitbc._methods import M, Resource, listing, operation
from aitbc.exceptions import JobTimeoutError
from aitbc.schemas.common import Page
from aitbc.schemas.jobs import FINAL_STATES, CreateJob, Job, JobResult, JobState

#: A long wait slows down to this, to leave the tenant's limit to other calls.
SLOWEST_POLL_S = 5.0


class Jobs(Resource[M]):
    """Jobs of the key's tenant and environment."""

    @operation
    def create(self, job: Mapping[str, Any] | CreateJob, idempotency_key: str | None = None) -> Call[Job]:
        """Submit a job: ``client.jobs.create({"name": "hello", "type": "text-statistics", "text": "..."})``.

        ``job`` is a ``CreateJob``, or a dict: with ``payload`` the full form (``payload``, ``constraints``,
        ``ttl_seconds``, ``payment_amount``, ``payment_currency``), else its fields are the payload. The same
        ``idempotency_key`` within 24 h gives the first job again; one is made where none is passed, so that
        retries never submit twice.

        Raises ValidationError for a job that is not valid, ConflictError for an idempotency key that was used
        with another job, TypeError for what is no job at all.
        """
        if not isinstance(job, Mapping | CreateJob):
            raise TypeError(f"job must be a dict or a CreateJob, not {type(job).__name__}")
        return Call(
            "POST",
            "/v1/jobs",
            Job,
            body=job if isinstance(job, CreateJob) else dict(job),
            idempotency_key=idempotency_key,
            fresh_idempotency_key=idempotency_key is None,
        )

    @operation
    def get(self, job_id: str) -> Call[Job]:
        """The job as it stands now. Raises NotFoundError for an id that is not the tenant's."""
        return _get(job_id)

    @listing
    def list(
        self,
        *,
        state: JobState | str | None = None,
        created_after: Time | None = None,
        created_before: Time | None = None,
        limit: int | None = None,
    ) -> Call[Page[Job]]:
        """Iterate over all jobs, newest first: ``for job in client.jobs.list(state="RUNNING"): ...``.

        Pages are fetched as the loop gets there; ``limit`` is the size of a page (1 to 100, else 50), not of
        the whole. Raises ValidationError for a filter that is not valid.
        """
        return Call(
            "GET",
            "/v1/jobs",
            Page[Job],
            query=query(state=state, created_after=created_after, created_before=created_before, limit=limit),
            idempotent=True,
        )

    @operation
    def cancel(self, job_id: str) -> Call[Job]:
        """Cancel a job that is queued or running; the job as it then stands.

        Raises ConflictError for a job that is final already, NotFoundError for an unknown id.
        """
        return Call("POST", path("/v1/jobs/{job_id}/cancel", job_id=job_id), Job)

    @operation
    def result(self, job_id: str) -> Call[JobResult]:
        """The result of a final job: ``client.jobs.result(job.job_id).result``.

        Raises APIStatusError with status 425 and code ``not_ready`` while the job is not final (see
        ``wait_for_completion``), NotFoundError for an unknown id.
        """
        return Call("GET", path("/v1/jobs/{job_id}/result", job_id=job_id), JobResult, idempotent=True)

    @operation
    def wait_for_completion(
        self,
        job_id: str,
        timeout: float | None = None,
        poll_interval: float = 1.0,
        on_update: Callable[[Job], object] | None = None,
    ) -> Flow[Job]:
        """Wait until the job is COMPLETED, FAILED, CANCELED or EXPIRED, and return it as it then stands.

        Looks every ``poll_interval`` seconds, slowing down to every 5 s on long waits. ``on_update`` is
        called with the job as first seen and whenever it changed. ``timeout`` is in seconds; None waits until
        the job is final, which its ``ttl_seconds`` sees to.

        Raises JobTimeoutError (an APITimeoutError) when the job is not final in time: it goes on running.
        """
        if not poll_interval > 0:
            raise ValueError(f"poll_interval must be more than 0 seconds; got {poll_interval!r}")
        return self._wait(job_id, timeout, poll_interval, on_update or (lambda job: None))

    def _wait(
        self, job_id: str, timeout_s: float | None, poll_interval_s: float, on_update: Callable[[Job], object]
    ) -> Flow[Job]:
        started_s: float = yield Sleep(0)
        waited_s = 0.0
        seen = None
        while True:
            job = yield from self._shell.exchange.perform(_get(job_id))
            if job != seen:
                on_update(job)
            if job.state in FINAL_STATES:
                return job
            if timeout_s is not None and waited_s >= timeout_s:
                raise JobTimeoutError(f"job {job_id} is still {job.state} after {timeout_s:g} s", job=job)
            seen = job
            pause_s = max(poll_interval_s, min(SLOWEST_POLL_S, waited_s / 10))
            if timeout_s is not None:
                pause_s = min(pause_s, max(0.0, timeout_s - waited_s))
            waited_s = (yield Sleep(pause_s)) - started_s


def _get(job_id: str) -> Call[Job]:
    return Call("GET", path("/v1/jobs/{job_id}", job_id=job_id), Job, idempotent=True)
