"""The routes of miners, in the wire format of AITBC's existing ones."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT

from aitbc.schemas.common import Page, Status
from aitbc.schemas.miners import (
    MINER_ID_PATTERN,
    AssignedJob,
    Heartbeat,
    Miner,
    PollJobs,
    Registered,
    RegisterMiner,
    ResultAccepted,
    SubmitFailure,
    SubmitResult,
)
from aitbc.schemas.scopes import Scope
from aitbc_server.actor import Actor
from aitbc_server.errors import Code, DomainError
from aitbc_server.gate.context import CONTEXT
from aitbc_server.gate.gate import Gate
from aitbc_server.gate.operations import Operation
from aitbc_server.miners.polling import JobDispatch
from aitbc_server.miners.service import MinerService
from aitbc_server.pagination import DEFAULT_LIMIT, MAX_LIMIT
from aitbc_server.web.routing import for_operation

REGISTER = Operation("miners.register", Scope.MINERS_WORK)
HEARTBEAT = Operation("miners.heartbeat", Scope.MINERS_WORK)
POLL = Operation("miners.poll", Scope.MINERS_WORK)
SUBMIT_RESULT = Operation("miners.submit_result", Scope.MINERS_WORK)
SUBMIT_FAILURE = Operation("miners.submit_failure", Scope.MINERS_WORK)
LIST = Operation("miners.list", Scope.MINERS_READ)

_MinerId = Annotated[
    str | None,
    QueryParameter(
        name="miner_id",
        pattern=MINER_ID_PATTERN,
        description="Which of the key's miners is meant. Default: the one that it registered last.",
    ),
]
_AnyRequest = Request[Any, Any, Any]


@post("/v1/miners/register", **for_operation(REGISTER, lenient_query=True), status_code=HTTP_200_OK)
async def register_miner(
    data: JSONBody[RegisterMiner],
    actor: NamedDependency[Actor],
    miners: NamedDependency[MinerService],
    miner_id: _MinerId = None,
) -> Registered:
    """Register a miner, or replace what it said of itself before."""
    return Registered(session_token=await miners.register(actor, miner_id, data))


@post(
    "/v1/miners/heartbeat",
    **for_operation(HEARTBEAT, errors=[Code.NOT_FOUND], lenient_query=True),
    status_code=HTTP_200_OK,
)
async def heartbeat(
    data: JSONBody[Heartbeat],
    actor: NamedDependency[Actor],
    miners: NamedDependency[MinerService],
    miner_id: _MinerId = None,
) -> Status:
    """Keep the miner's leases. Fields that are not known are ignored."""
    await miners.heartbeat(actor, miner_id, data)
    return Status()


@post(
    "/v1/miners/poll",
    **for_operation(POLL, errors=[Code.NOT_FOUND], lenient_query=True),
    status_code=HTTP_200_OK,
    responses={HTTP_204_NO_CONTENT: ResponseSpec(None, description="There was no job for this miner in that time.")},
)
async def poll_jobs(
    data: JSONBody[PollJobs],
    actor: NamedDependency[Actor],
    dispatch: NamedDependency[JobDispatch],
    gate: NamedDependency[Gate],
    request: _AnyRequest,
    miner_id: _MinerId = None,
) -> Response[AssignedJob | None]:
    """Wait for a job, up to `max_wait_seconds`: 200 with it, leased to the miner, or 204.

    Of one miner four polls wait at once, or as many as its `concurrency` where that is more. One more ends the oldest
    with 204.
    """

    async def still_allowed() -> None:
        context = request.scope[CONTEXT]  # type: ignore[literal-required]
        refusal = await gate.recheck(context.credential_text, context.facts)
        if refusal is not None:
            headers = {"retry-after": "1"} if refusal.code is Code.UNAVAILABLE else None
            raise DomainError(refusal.code, refusal.detail, headers=headers)

    async def disconnected() -> None:
        # The body was read before: the next message is the end.
        while (await request.receive())["type"] != "http.disconnect":
            pass

    job = await dispatch.poll(
        actor, miner_id, data.max_wait_seconds, still_allowed=still_allowed, disconnected=disconnected
    )
    return Response(job, status_code=HTTP_204_NO_CONTENT if job is None else HTTP_200_OK)


@post(
    "/v1/miners/{job_id:str}/result",
    **for_operation(SUBMIT_RESULT, errors=[Code.NOT_FOUND, Code.CONFLICT], lenient_query=True),
    status_code=HTTP_200_OK,
)
async def submit_result(
    job_id: FromPath[str],
    data: JSONBody[SubmitResult],
    actor: NamedDependency[Actor],
    miners: NamedDependency[MinerService],
    miner_id: _MinerId = None,
) -> ResultAccepted:
    """Hand in a job's result. It is accepted once, from the miner that holds the job's lease: 409 otherwise."""
    return ResultAccepted(receipt=await miners.submit_result(actor, job_id, miner_id, data))


@post(
    "/v1/miners/{job_id:str}/fail",
    **for_operation(SUBMIT_FAILURE, errors=[Code.NOT_FOUND, Code.CONFLICT], lenient_query=True),
    status_code=HTTP_200_OK,
)
async def submit_failure(
    job_id: FromPath[str],
    data: JSONBody[SubmitFailure],
    actor: NamedDependency[Actor],
    miners: NamedDependency[MinerService],
    miner_id: _MinerId = None,
) -> Status:
    """Report a job that failed. It is FAILED then, for good."""
    await miners.submit_failure(actor, job_id, miner_id, data)
    return Status()


@get("/v1/miners", **for_operation(LIST))
async def list_miners(
    actor: NamedDependency[Actor],
    miners: NamedDependency[MinerService],
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Page[Miner]:
    """The tenant's miners of the key's environment, the most recently registered first."""
    return await miners.list(actor, limit=limit, cursor=cursor)


ROUTES = [register_miner, heartbeat, poll_jobs, submit_result, submit_failure, list_miners]
