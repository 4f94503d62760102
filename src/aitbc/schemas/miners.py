"""Miners on the wire: the format of AITBC's existing miners."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, field

from aitbc.schemas.common import FreeJson, JsonObject, Request, Response, Status, Time, known
from aitbc.schemas.jobs import Receipt

MAX_WAIT_S = 60

#: In the query of miners' calls: a name of the miner's own, such as its host's.
# Without the second condition a line break at the end would pass: "$" means before it, too.
MINER_ID_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z._:-]{0,99}$(?!\n)"


class RegisterMiner(Request):
    """POST /v1/miners/register. Registering again replaces what was said before."""

    capabilities: FreeJson = field(default_factory=dict)
    concurrency: Annotated[int, Meta(ge=1, le=1000)] = 1
    region: Annotated[str, Meta(max_length=100)] | None = None


class Registered(Status, kw_only=True):
    """The answer to a registration. Existing miners expect ``session_token``; it carries no authority."""

    session_token: str


class Heartbeat(msgspec.Struct, kw_only=True):
    """POST /v1/miners/heartbeat. Keeps the miner's leases; miners send further fields, which are ignored."""

    inflight: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    status: Annotated[str, Meta(max_length=100)] = "ONLINE"
    metadata: FreeJson = field(default_factory=dict)


class PollJobs(Request):
    """POST /v1/miners/poll. Waits up to ``max_wait_seconds`` for a job: 200 with it, or 204."""

    max_wait_seconds: Annotated[float, Meta(ge=0, le=MAX_WAIT_S)] = 15


class AssignedJob(Response):
    """A job that was leased to the polling miner."""

    job_id: str
    payload: JsonObject
    constraints: JsonObject


class SubmitResult(Request):
    """POST /v1/miners/{job_id}/result."""

    result: FreeJson
    metrics: FreeJson = field(default_factory=dict)


class ResultAccepted(Status, kw_only=True):
    """The answer to an accepted result."""

    receipt: Receipt


class SubmitFailure(Request):
    """POST /v1/miners/{job_id}/fail."""

    error_code: Annotated[str, Meta(min_length=1, max_length=100)]
    error_message: Annotated[str, Meta(max_length=10_000)] = ""
    metrics: FreeJson = field(default_factory=dict)


class Miner(Response):
    """A registered miner. It is ONLINE while its heartbeats (or polls) come, OFFLINE after."""

    miner_id: str
    key_id: str
    status: Annotated[str, known(("ONLINE", "OFFLINE"))]
    region: str | None
    concurrency: int
    inflight: int
    capabilities: JsonObject
    registered_at: Time
    last_seen_at: Time
