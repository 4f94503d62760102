"""The routes of jobs."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK

from aitbc.schemas.common import NoFields, Page
from aitbc.schemas.jobs import Job, JobResult, JobState
from aitbc.schemas.scopes import Scope
from aitbc_server.actor import Actor
from aitbc_server.errors import Code
from aitbc_server.gate.operations import Operation
from aitbc_server.idempotency.api import IdempotencyKeyHeader, one_idempotency_key
from aitbc_server.jobs.openapi import FORMS
from aitbc_server.jobs.service import JobService
from aitbc_server.pagination import DEFAULT_LIMIT, MAX_LIMIT
from aitbc_server.web.query_times import TIME_SCHEMA, parse_time
from aitbc_server.web.routing import for_operation

CREATE = Operation("jobs.create", Scope.JOBS_WRITE)
LIST = Operation("jobs.list", Scope.JOBS_READ)
GET = Operation("jobs.get", Scope.JOBS_READ)
RESULT = Operation("jobs.result", Scope.JOBS_READ)
CANCEL = Operation("jobs.cancel", Scope.JOBS_WRITE)

# The argument has another name: to the framework "state" means something else.
_State = Annotated[JobState | None, QueryParameter(name="state", description="Only the jobs in this state.")]
_Time = Annotated[
    str | None,
    QueryParameter(schema_extra=TIME_SCHEMA, description="RFC 3339 with a time zone; the time itself is not included."),
]


@post(
    "/v1/jobs",
    **for_operation(CREATE, errors=[Code.CONFLICT], lenient_query=True, bodies=FORMS),
    guards=[one_idempotency_key],
)
async def create_job(
    data: JSONBody[dict[str, Any]],
    actor: NamedDependency[Actor],
    jobs: NamedDependency[JobService],
    idempotency_key: IdempotencyKeyHeader = None,
) -> Job:
    """Submit a job. Once this is answered with 201, the job is not lost."""
    return await jobs.create(actor, data, route=CREATE.id, idempotency_key=idempotency_key)


@get("/v1/jobs", **for_operation(LIST))
async def list_jobs(
    actor: NamedDependency[Actor],
    jobs: NamedDependency[JobService],
    in_state: _State = None,
    created_after: _Time = None,
    created_before: _Time = None,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Page[Job]:
    """The tenant's jobs of the key's environment, newest first."""
    return await jobs.list(
        actor,
        state=in_state,
        created_after=parse_time("created_after", created_after),
        created_before=parse_time("created_before", created_before),
        limit=limit,
        cursor=cursor,
    )


@get("/v1/jobs/{job_id:str}", **for_operation(GET, errors=[Code.NOT_FOUND], lenient_query=True))
async def get_job(job_id: FromPath[str], actor: NamedDependency[Actor], jobs: NamedDependency[JobService]) -> Job:
    """A job as it stands now."""
    return await jobs.get(actor, job_id)


@get(
    "/v1/jobs/{job_id:str}/result", **for_operation(RESULT, errors=[Code.NOT_FOUND, Code.NOT_READY], lenient_query=True)
)
async def get_job_result(
    job_id: FromPath[str], actor: NamedDependency[Actor], jobs: NamedDependency[JobService]
) -> JobResult:
    """A final job's result and receipt; 425 `not_ready` until it is final."""
    return await jobs.result(actor, job_id)


@post(
    "/v1/jobs/{job_id:str}/cancel",
    **for_operation(CANCEL, errors=[Code.NOT_FOUND, Code.CONFLICT], lenient_query=True),
    status_code=HTTP_200_OK,
)
async def cancel_job(
    job_id: FromPath[str],
    actor: NamedDependency[Actor],
    jobs: NamedDependency[JobService],
    data: JSONBody[NoFields | None] = None,
) -> Job:
    """Cancel a job that is queued or running; 409 where it is final already."""
    return await jobs.cancel(actor, job_id)


ROUTES = [create_job, list_jobs, get_job, get_job_result, cancel_job]
