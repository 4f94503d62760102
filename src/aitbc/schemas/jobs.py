"""Jobs on the wire: the format of AITBC's existing clients."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from aitbc.schemas.common import FreeJson, JsonObject, Request, Response, Time, known

DEFAULT_TTL_S = 900
MAX_TTL_S = 7 * 24 * 3600

ShortText = Annotated[str, Meta(max_length=100)]


class JobState(StrEnum):
    """Where a job stands. The last four are final."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


FINAL_STATES = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELED, JobState.EXPIRED})


AnsweredState = Annotated[str, known(JobState)]


class Constraints(Request):
    """What a miner must offer to be given the job. What is null asks for nothing."""

    gpu: ShortText | None = None
    cuda: ShortText | None = None
    min_vram_gb: Annotated[float, Meta(ge=0, le=1_000_000)] | None = None
    models: Annotated[list[ShortText], Meta(max_length=100)] | None = None
    region: ShortText | None = None
    max_price: Annotated[float, Meta(ge=0)] | None = None


class JobSettings(Request, kw_only=True):
    """What a submission says of the job itself, in either form."""

    constraints: Constraints | None = None
    ttl_seconds: Annotated[int, Meta(ge=1, le=MAX_TTL_S)] = DEFAULT_TTL_S
    payment_amount: Annotated[float, Meta(ge=0)] | None = None
    payment_currency: Annotated[str, Meta(min_length=1, max_length=16)] | None = None


class CreateJob(JobSettings, kw_only=True):
    """POST /v1/jobs, the full form.

    In the short form, without ``payload``, the fields are the payload, but for the other four of these.
    """

    payload: FreeJson


class Job(Response):
    """A job as its owner sees it. ``error`` says why it FAILED."""

    job_id: str
    state: AnsweredState
    assigned_miner_id: str | None
    requested_at: Time
    expires_at: Time
    error: str | None


class Receipt(Response):
    """What a miner gets for a result, and its client with it: who computed what, and when.

    ``result_sha256`` is the hexadecimal SHA-256 of the result as UTF-8 JSON with sorted names and no white space: in
    Python, of ``json.dumps(result, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()``.
    """

    receipt_id: str
    job_id: str
    miner_id: str
    completed_at: Time
    result_sha256: str


class JobResult(Response):
    """GET /v1/jobs/{job_id}/result, once the job is final. ``result`` is null unless it COMPLETED."""

    job_id: str
    state: AnsweredState
    result: JsonObject | None
    error: str | None
    receipt: Receipt | None
