"""Every method of every resource: what it sends, and what it makes of the answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from tests.sdk.conftest import Sdk
from tests.sdk.samples import API_KEY, EVENT, JOB, MINER, RECEIPT, TIME, USAGE
from tests.sdk.scripted import Answer

from aitbc.resources.api_keys import ApiKeys
from aitbc.resources.miners import Miners
from aitbc.schemas.api_keys import (
    ApiKey,
    ApiKeyWithSecret,
    ChangedApiKey,
    CreateApiKey,
    KeySelf,
    RegenerateApiKey,
    UpdateApiKey,
    VerifyApiKey,
    VerifyResult,
)
from aitbc.schemas.common import Status
from aitbc.schemas.jobs import Constraints, CreateJob, Job, JobResult, JobState
from aitbc.schemas.miners import (
    AssignedJob,
    Heartbeat,
    PollJobs,
    Registered,
    RegisterMiner,
    ResultAccepted,
    SubmitFailure,
    SubmitResult,
)
from aitbc.schemas.scopes import Scope
from aitbc.schemas.usage import Granularity, Usage

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """What a call of the SDK must look like on the wire."""

    use: Callable[[Any], Any]
    answer: Any
    type: type
    line: str
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None


JOB_CASES = [
    Case(
        lambda c: c.jobs.create({"name": "x", "model": {"type": "python"}}),
        JOB,
        Job,
        "POST /v1/jobs",
        body={"name": "x", "model": {"type": "python"}},
    ),
    Case(
        lambda c: c.jobs.create(CreateJob(payload={"a": 1}, constraints=Constraints(gpu="A100"))),
        JOB,
        Job,
        "POST /v1/jobs",
        body={
            "payload": {"a": 1},
            "constraints": {
                "gpu": "A100",
                "cuda": None,
                "min_vram_gb": None,
                "models": None,
                "region": None,
                "max_price": None,
            },
            "ttl_seconds": 900,
            "payment_amount": None,
            "payment_currency": None,
        },
    ),
    Case(lambda c: c.jobs.get("job_1"), JOB, Job, "GET /v1/jobs/job_1"),
    Case(lambda c: c.jobs.cancel("job_1"), JOB, Job, "POST /v1/jobs/job_1/cancel"),
    Case(
        lambda c: c.jobs.result("job_1"),
        {"job_id": "job_1", "state": "COMPLETED", "result": {"words": 6}, "error": None, "receipt": RECEIPT},
        JobResult,
        "GET /v1/jobs/job_1/result",
    ),
    Case(
        lambda c: c.jobs.list(
            state=JobState.RUNNING,
            created_after=NOON.astimezone(timezone(timedelta(hours=2))),
            created_before="2026-11-25T00:00:00Z",
            limit=7,
        ),
        {"items": [JOB]},
        list,
        "GET /v1/jobs",
        query={
            "state": "RUNNING",
            "created_after": "2026-11-24T12:00:00.000Z",
            "created_before": "2026-11-25T00:00:00Z",
            "limit": "7",
        },
    ),
]
MINER_CASES = [
    Case(
        lambda c: c.miners.register("rig-1", {"gpu": "A100"}, 2, "eu"),
        {"status": "ok", "session_token": "t"},
        Registered,
        "POST /v1/miners/register",
        query={"miner_id": "rig-1"},
        body={"capabilities": {"gpu": "A100"}, "concurrency": 2, "region": "eu"},
    ),
    Case(
        lambda c: c.miners.register(),
        {"status": "ok", "session_token": "t"},
        Registered,
        "POST /v1/miners/register",
        body={"capabilities": {}, "concurrency": 1, "region": None},
    ),
    Case(
        lambda c: c.miners.heartbeat(inflight=1, metadata={"t": 60}),
        {"status": "ok"},
        Status,
        "POST /v1/miners/heartbeat",
        body={"inflight": 1, "status": "ONLINE", "metadata": {"t": 60}},
    ),
    Case(
        lambda c: c.miners.poll(3, miner_id="rig-1"),
        {"job_id": "job_1", "payload": {"a": 1}, "constraints": {}},
        AssignedJob,
        "POST /v1/miners/poll",
        query={"miner_id": "rig-1"},
        body={"max_wait_seconds": 3},
    ),
    Case(
        lambda c: c.miners.submit_result("job_1", {"words": 6}, {"seconds": 1.5}, miner_id="rig-1"),
        {"status": "ok", "receipt": RECEIPT},
        ResultAccepted,
        "POST /v1/miners/job_1/result",
        query={"miner_id": "rig-1"},
        body={"result": {"words": 6}, "metrics": {"seconds": 1.5}},
    ),
    Case(
        lambda c: c.miners.submit_failure("job_1", "out_of_memory", "no room"),
        {"status": "ok"},
        Status,
        "POST /v1/miners/job_1/fail",
        body={"error_code": "out_of_memory", "error_message": "no room", "metrics": {}},
    ),
    Case(lambda c: c.miners.list(), {"items": [MINER]}, list, "GET /v1/miners"),
]
KEY_CASES = [
    Case(
        lambda c: c.api_keys.create(
            name="ci",
            scopes={Scope.JOBS_READ},
            expires_at=NOON,
            allowed_ips=("10.0.0.0/8",),
            limit_per_minute=30,
            metadata={"team": "a"},
        ),
        {**API_KEY, "key": "aitbc_test_..."},
        ApiKeyWithSecret,
        "POST /v1/api-keys",
        body={
            "name": "ci",
            "environment": None,
            "preset": None,
            "scopes": ["jobs:read"],
            "expires_at": "2026-11-24T12:00:00.000Z",
            "allowed_ips": ["10.0.0.0/8"],
            "limit_per_minute": 30,
            "metadata": {"team": "a"},
        },
    ),
    Case(
        lambda c: c.api_keys.list(status="active", environment="test", q="ci"),
        {"items": [API_KEY], "next_cursor": None},
        list,
        "GET /v1/api-keys",
        query={"status": "active", "environment": "test", "q": "ci"},
    ),
    Case(lambda c: c.api_keys.get("key_1"), API_KEY, ApiKey, "GET /v1/api-keys/key_1"),
    Case(
        lambda c: c.api_keys.update("key_1", expires_at=None, enabled=False),
        API_KEY,
        ChangedApiKey,
        "PATCH /v1/api-keys/key_1",
        body={"expires_at": None, "enabled": False},
    ),
    Case(lambda c: c.api_keys.revoke("key_1"), API_KEY, ChangedApiKey, "POST /v1/api-keys/key_1/revoke"),
    Case(
        lambda c: c.api_keys.regenerate("key_1", grace_period_seconds=60),
        {**API_KEY, "key": "aitbc_test_..."},
        ApiKeyWithSecret,
        "POST /v1/api-keys/key_1/regenerate",
        body={"grace_period_seconds": 60},
    ),
    Case(
        lambda c: c.api_keys.usage("key_1", from_=NOON, group_by="outcome"),
        USAGE,
        Usage,
        "GET /v1/api-keys/key_1/usage",
        query={"from": "2026-11-24T12:00:00.000Z", "group_by": "outcome"},
    ),
    Case(
        lambda c: c.api_keys.verify("aitbc_test_x", scope="jobs:read", client_ip="10.0.0.1", cost=0),
        {"valid": False, "code": "NOT_FOUND"},
        VerifyResult,
        "POST /v1/api-keys/verify",
        body={
            "key": "aitbc_test_x",
            "scope": "jobs:read",
            "tenant_id": None,
            "client_ip": "10.0.0.1",
            "cost": 0,
        },
    ),
    Case(
        lambda c: c.api_keys.self(),
        {"key": API_KEY, "tenant": {"id": "t", "name": "T", "plan": "pro"}, "limits": []},
        KeySelf,
        "GET /v1/api-keys/self",
    ),
    Case(
        lambda c: c.usage.get(NOON, TIME, Granularity.DAY, "key"),
        USAGE,
        Usage,
        "GET /v1/usage",
        query={"from": "2026-11-24T12:00:00.000Z", "to": TIME, "granularity": "day", "group_by": "key"},
    ),
    Case(
        lambda c: c.audit.list(action="api_key.revoke", actor="usr_1", key_id="key_1", from_=TIME, to=NOON),
        {"items": [EVENT]},
        list,
        "GET /v1/audit-log",
        query={
            "action": "api_key.revoke",
            "actor": "usr_1",
            "key_id": "key_1",
            "from": TIME,
            "to": "2026-11-24T12:00:00.000Z",
        },
    ),
]


@pytest.mark.parametrize("case", JOB_CASES + MINER_CASES + KEY_CASES, ids=lambda case: case.line)
def test_a_method_sends_and_reads_what_the_wire_format_says(sdk: Sdk, case: Case) -> None:
    """Method, path, query and body are those of the API, and the answer comes back typed, on both clients."""
    sdk.server.answers(Answer(case.answer))
    result = sdk(case.use)
    request = sdk.server.last
    assert f"{request.method} {request.path}" == case.line
    assert request.query == case.query
    assert (request.json if request.body else None) == case.body
    assert type(result) is case.type


def test_a_request_body_is_valid_for_the_server(sdk: Sdk) -> None:
    """What the SDK sends for its methods is what the shared request types take, unknown fields refused."""
    bodies = {
        "POST /v1/jobs": CreateJob,
        "POST /v1/miners/register": RegisterMiner,
        "POST /v1/miners/heartbeat": Heartbeat,
        "POST /v1/miners/poll": PollJobs,
        "POST /v1/miners/job_1/result": SubmitResult,
        "POST /v1/miners/job_1/fail": SubmitFailure,
        "POST /v1/api-keys": CreateApiKey,
        "PATCH /v1/api-keys/key_1": UpdateApiKey,
        "POST /v1/api-keys/key_1/regenerate": RegenerateApiKey,
        "POST /v1/api-keys/verify": VerifyApiKey,
    }
    seen = set()
    for case in JOB_CASES[1:] + MINER_CASES + KEY_CASES:
        if case.body is not None:
            msgspec.convert(case.body, bodies[case.line])
            seen.add(case.line)
    assert seen == set(bodies)


@pytest.mark.parametrize(
    ("method", "request_type", "besides"),
    [
        (ApiKeys.create, CreateApiKey, {"idempotency_key"}),
        (ApiKeys.update, UpdateApiKey, {"key_id"}),
        (ApiKeys.regenerate, RegenerateApiKey, {"key_id"}),
        (ApiKeys.verify, VerifyApiKey, set()),
        (Miners.register, RegisterMiner, {"miner_id"}),
        (Miners.heartbeat, Heartbeat, {"miner_id"}),
        (Miners.poll, PollJobs, {"miner_id"}),
        (Miners.submit_result, SubmitResult, {"miner_id", "job_id"}),
        (Miners.submit_failure, SubmitFailure, {"miner_id", "job_id"}),
    ],
)
def test_a_method_offers_every_field_of_its_request(
    method: Any, request_type: type[msgspec.Struct], besides: set[str]
) -> None:
    """A field that is added to a request type is added to the SDK: they do not drift apart."""
    offered = set(inspect.signature(method).parameters) - {"self"}
    assert offered == set(request_type.__struct_fields__) | besides


def test_poll_is_none_where_no_job_came(sdk: Sdk) -> None:
    """204 is None, not an error."""
    sdk.server.answers(Answer(status=204))
    assert sdk(lambda client: client.miners.poll(0)) is None


@pytest.mark.parametrize("job_id", ["../api-keys/self", "a/b?c=d#e", "%2e%2e", "a b", "é", "\x00"])
def test_an_id_cannot_change_the_path(sdk: Sdk, job_id: str) -> None:
    """Ids are percent-encoded: whatever they hold, the call stays one below /v1/jobs/. ASVS 1.2.1."""
    sdk.server.answers(Answer(JOB))
    sdk(lambda client: client.jobs.get(job_id))
    path = sdk.server.last.target
    assert path.startswith("/v1/jobs/")
    assert "/" not in path.removeprefix("/v1/jobs/")
    assert "?" not in path


@pytest.mark.parametrize("method", [ApiKeys.self, ApiKeys.list, Miners.poll])
def test_a_method_keeps_its_name_and_docstring(method: Any) -> None:
    """help() and completion show each method as it was written."""
    assert inspect.isfunction(method)
    assert method.__doc__
    assert method.__qualname__.endswith(f".{method.__name__}")
