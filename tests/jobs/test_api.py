"""The routes of jobs over HTTP, through the gate, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.usage.world import Clock, Key, World

from aitbc.schemas.scopes import PRESET_SCOPES, Preset
from aitbc_server.db.engine import Database

JOB_FIELDS = ["job_id", "state", "assigned_miner_id", "requested_at", "expires_at", "error"]

BAD_BODIES: list[tuple[bytes, int, str | None]] = [
    (b"{}", 422, "payload"),
    (b"[]", 422, "body"),
    (b'{"payload": 1}', 422, "payload"),
    (b'{"payload": {}, "constraints": {"models": [1]}}', 422, "constraints.models.0"),
    (b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}", 422, "a"),
    (b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", 422, "body"),
    (b'{"a": "\\u0000"}', 422, "a"),
    (b'{"payload": {"a": [0, {"b": 1e999}]}}', 422, "payload.a.1.b"),
    (b'{"a": NaN}', 400, None),
    (b'{"a": "\\ud800"}', 400, None),
    (b'{"a": "\xff"}', 400, None),
    (b"nonsense", 400, None),
    (b'{"a": "' + b"x" * 1024 * 1024 + b'"}', 413, None),
]
FILTERS: list[tuple[str, int, str | None]] = [
    ("state=queued", 422, "state"),
    ("created_after=yesterday", 422, "created_after"),
    ("created_before=2026-11-24T05:46:30", 422, "created_before"),
    ("limit=0", 422, "limit"),
    ("limit=101", 422, "limit"),
    ("cursor=altered", 400, None),
    ("created_after=2026-11-24T05:46:30Z&created_before=2026-11-24T05:46:31%2B00:00", 200, None),
]


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    """An installation with two tenants."""
    world = World(database, tmp_path, Clock())
    for tenant_id in ("acme", "rival"):
        await world.add_tenant(tenant_id)
    return world


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    """A running server."""
    async with world.server() as client:
        yield client


@pytest.fixture
async def key(world: World) -> Key:
    """A client's key."""
    return await world.add_key("acme", scopes=PRESET_SCOPES[Preset.CLIENT])


def without_request_id(answer: httpx2.Response) -> dict[str, Any]:
    """The body, but for what differs between any two answers."""
    return {name: value for name, value in answer.json().items() if name != "request_id"}


async def test_the_answer_has_exactly_the_six_fields(client: httpx2.AsyncClient, key: Key) -> None:
    """201 with what existing clients read: times in RFC 3339 with milliseconds and Z; 15 minutes to live."""
    answer = await client.post("/v1/jobs", headers={"x-aPi-kEy": key.text}, json={"payload": {"a": 1}})
    assert answer.status_code == 201
    job = answer.json()
    assert list(job) == JOB_FIELDS
    assert job == {
        "job_id": job["job_id"],
        "state": "QUEUED",
        "assigned_miner_id": None,
        "requested_at": "2026-11-24T05:46:30.000Z",
        "expires_at": "2026-11-24T06:01:30.000Z",
        "error": None,
    }
    assert (await client.get(f"/v1/jobs/{job['job_id']}", headers=key.headers)).json() == job
    page = await client.get("/v1/jobs?state=QUEUED&limit=1", headers=key.headers)
    assert page.json() == {"items": [job], "next_cursor": None}


async def test_the_documented_example_is_taken(client: httpx2.AsyncClient, key: Key) -> None:
    """The short form of the README, as it stands."""
    body = {
        "name": "image-classification",
        "type": "ai-inference",
        "model": {"type": "python", "entrypoint": "model.py"},
    }
    assert (await client.post("/v1/jobs", headers=key.headers, json=body)).status_code == 201


async def test_a_bad_body_is_refused(client: httpx2.AsyncClient, key: Key) -> None:
    """Never 500; 422 names the field."""
    headers = {**key.headers, "content-type": "application/json"}
    for content, status, field in BAD_BODIES:
        answer = await client.post("/v1/jobs", headers=headers, content=content)
        assert answer.status_code == status, (content[:80], answer.text)
        assert [error["field"] for error in answer.json().get("errors", [])] == ([field] if field else [])


async def test_filters_are_checked(client: httpx2.AsyncClient, key: Key) -> None:
    """A filter that means nothing is an error and not an empty list."""
    for query, status, field in FILTERS:
        answer = await client.get(f"/v1/jobs?{query}", headers=key.headers)
        assert answer.status_code == status, (query, answer.text)
        assert [error["field"] for error in answer.json().get("errors", [])] == ([field] if field else [])


async def test_anothers_job_is_not_there_byte_for_byte(client: httpx2.AsyncClient, world: World, key: Key) -> None:
    """Another tenant's job, another environment's, one that never was, nonsense: the same bytes (ASVS 8.2.2, S5)."""
    made = await client.post("/v1/jobs", headers=key.headers, json={"a": 1})
    others = [await world.add_key("rival"), await world.add_key("acme", "test")]
    for other in others:
        for method, path in (("GET", "/v1/jobs/{}"), ("GET", "/v1/jobs/{}/result"), ("POST", "/v1/jobs/{}/cancel")):
            answers = [
                await client.request(method, path.format(job_id), headers=other.headers)
                for job_id in (made.json()["job_id"], "job_0123456789ABCDEFGHIJ", "%00", "x" * 1000)
            ]
            assert {answer.status_code for answer in answers} == {404}
            assert all(without_request_id(answer) == without_request_id(answers[0]) for answer in answers)
        assert (await client.get("/v1/jobs", headers=other.headers)).json()["items"] == []


async def test_the_result_is_too_early_then_there(client: httpx2.AsyncClient, world: World, key: Key) -> None:
    """425 until the job is final; then the result with its receipt, in the documented fields."""
    miner = await world.add_key("acme", scopes=PRESET_SCOPES[Preset.MINER])
    job_id = (await client.post("/v1/jobs", headers=key.headers, json={"a": 1})).json()["job_id"]
    early = await client.get(f"/v1/jobs/{job_id}/result", headers=key.headers)
    assert (early.status_code, early.json()["code"]) == (425, "not_ready")
    await client.post("/v1/miners/register?miner_id=rig", headers=miner.headers, json={})
    await client.post("/v1/miners/poll", headers=miner.headers, json={"max_wait_seconds": 0})
    accepted = await client.post(f"/v1/miners/{job_id}/result", headers=miner.headers, json={"result": {"n": 1}})
    result = await client.get(f"/v1/jobs/{job_id}/result", headers=key.headers)
    assert result.status_code == 200
    assert result.json() == {
        "job_id": job_id,
        "state": "COMPLETED",
        "result": {"n": 1},
        "error": None,
        "receipt": accepted.json()["receipt"],
    }


async def test_an_idempotency_key_in_the_header_makes_one_job(client: httpx2.AsyncClient, key: Key) -> None:
    """The same answer again; another body is 409; the header twice is 400, an empty one 422."""
    headers = {**key.headers, "idempotency-key": "k-1"}
    first = await client.post("/v1/jobs", headers=headers, json={"a": 1})
    again = await client.post("/v1/jobs", headers=headers, json={"a": 1})
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert (await client.post("/v1/jobs", headers=headers, json={"a": 2})).status_code == 409
    twice = [("x-api-key", key.text), ("idempotency-key", "a"), ("idempotency-key", "b")]
    assert (await client.post("/v1/jobs", headers=twice, json={"a": 1})).status_code == 400
    empty = await client.post("/v1/jobs", headers={**key.headers, "idempotency-key": ""}, json={"a": 1})
    assert empty.status_code == 422
    assert len((await client.get("/v1/jobs", headers=key.headers)).json()["items"]) == 1


async def test_cancelling_answers_200_then_409(client: httpx2.AsyncClient, key: Key) -> None:
    """With the job as it then stands; the second time says what it is."""
    job_id = (await client.post("/v1/jobs", headers=key.headers, json={"a": 1})).json()["job_id"]
    cancelled = await client.post(f"/v1/jobs/{job_id}/cancel", headers=key.headers)
    assert (cancelled.status_code, list(cancelled.json()), cancelled.json()["state"]) == (200, JOB_FIELDS, "CANCELED")
    again = await client.post(f"/v1/jobs/{job_id}/cancel", headers=key.headers)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert "CANCELED" in again.json()["detail"]
