"""``client.miners``: be a miner (register, poll, report), and see the tenant's miners.

A call without ``miner_id`` means the miner that the key registered last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from aitbc._call import Call, body, path, query
from aitbc._methods import M, Resource, listing, operation
from aitbc.schemas.common import Page, Status
from aitbc.schemas.miners import AssignedJob, Miner, Registered, ResultAccepted


class Miners(Resource[M]):
    """Miners of the key's tenant and environment."""

    @operation
    def register(
        self,
        miner_id: str | None = None,
        capabilities: Mapping[str, Any] | None = None,
        concurrency: int = 1,
        region: str | None = None,
    ) -> Call[Registered]:
        """Say what this miner can do: ``client.miners.register("rig-1", capabilities={"gpu": "RTX 4090"})``.

        ``concurrency`` is how many jobs it takes at once. Registering again replaces what was said before.
        Raises ValidationError for a miner_id or capabilities that are not valid.
        """
        return Call(
            "POST",
            "/v1/miners/register",
            Registered,
            query=query(miner_id=miner_id),
            body=body(capabilities=capabilities or {}, concurrency=concurrency, region=region),
            # Only with its own id: without one, a second registration may be a second miner.
            idempotent=miner_id is not None,
        )

    @operation
    def heartbeat(
        self,
        miner_id: str | None = None,
        inflight: int = 0,
        status: str = "ONLINE",
        metadata: Mapping[str, Any] | None = None,
    ) -> Call[Status]:
        """Keep the miner's leases: ``client.miners.heartbeat(inflight=1)``, while it works on a job.

        Raises NotFoundError for a miner that is not registered.
        """
        return Call(
            "POST",
            "/v1/miners/heartbeat",
            Status,
            query=query(miner_id=miner_id),
            body=body(inflight=inflight, status=status, metadata=metadata or {}),
            idempotent=True,
        )

    @operation
    def poll(self, max_wait_seconds: float = 15, miner_id: str | None = None) -> Call[AssignedJob | None]:
        """Ask for a job: ``job = client.miners.poll()``; None where none came within the wait (up to 60 s).

        The job is leased to this miner until its heartbeats stop. Never retried after a lost answer, which
        may have leased a job: that one returns to the queue. Raises NotFoundError for a miner that is not
        registered.
        """
        return Call(
            "POST",
            "/v1/miners/poll",
            cast("type[AssignedJob | None]", AssignedJob | None),
            query=query(miner_id=miner_id),
            body=body(max_wait_seconds=max_wait_seconds),
            extra_wait_s=max_wait_seconds,
        )

    @operation
    def submit_result(
        self,
        job_id: str,
        result: Mapping[str, Any],
        metrics: Mapping[str, Any] | None = None,
        miner_id: str | None = None,
    ) -> Call[ResultAccepted]:
        """Hand in a job's result: ``client.miners.submit_result(job.job_id, {"words": 6}).receipt``.

        A result is accepted once, from the holder of the lease: ConflictError otherwise (after a lost answer
        it may mean that the first attempt arrived), NotFoundError for an unknown id.
        """
        return Call(
            "POST",
            path("/v1/miners/{job_id}/result", job_id=job_id),
            ResultAccepted,
            query=query(miner_id=miner_id),
            body=body(result=result, metrics=metrics or {}),
        )

    @operation
    def submit_failure(
        self,
        job_id: str,
        error_code: str,
        error_message: str = "",
        metrics: Mapping[str, Any] | None = None,
        miner_id: str | None = None,
    ) -> Call[Status]:
        """Report a job that failed: ``client.miners.submit_failure(job.job_id, "out_of_memory", "...")``.

        Raises ConflictError where this miner does not hold the job's lease, NotFoundError for an unknown id.
        """
        return Call(
            "POST",
            path("/v1/miners/{job_id}/fail", job_id=job_id),
            Status,
            query=query(miner_id=miner_id),
            body=body(error_code=error_code, error_message=error_message, metrics=metrics or {}),
        )

    @listing
    def list(self, *, limit: int | None = None) -> Call[Page[Miner]]:
        """Iterate over the tenant's miners: ``for miner in client.miners.list(): ...``.

        ``limit`` is the size of a page (1 to 100, else 50), not of the whole.
        """
        return Call("GET", "/v1/miners", Page[Miner], query=query(limit=limit), idempotent=True)
