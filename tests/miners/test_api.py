"""The routes of miners over HTTP, through the gate, in the wire format of AITBC's existing miners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.usage.world import Clock, Key, World

from aitbc.schemas.scopes import PRESET_SCOPES, Preset
from aitbc_server.db.engine import Database

BAD_CALLS: list[tuple[str, Any, str]] = [
    ("register", {"concurrency": 0}, "concurrency"),
    ("register", {"capabilities": []}, "capabilities"),
    ("register", {"colour": "red"}, "colour"),
    ("register?miner_id=", {}, "miner_id"),
    ("register?miner_id=a%20b", {}, "miner_id"),
    ("heartbeat", {"inflight": -1}, "inflight"),
    ("heartbeat", {"metadata": {"a": "\x00"}}, "metadata"),
    ("poll", {"max_wait_seconds": 61}, "max_wait_seconds"),
    ("poll", {"max_wait_seconds": "5"}, "max_wait_seconds"),
    ("job_1/result", {"metrics": {}}, "result"),
    ("job_1/result", {"result": [1]}, "result"),
    ("job_1/fail", {"error_code": ""}, "error_code"),
]


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    """An installation with one tenant."""
    world = World(database, tmp_path, Clock())
    await world.add_tenant("acme")
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


@pytest.fixture
async def miner(world: World) -> Key:
    """A miner's key."""
    return await world.add_key("acme", scopes=PRESET_SCOPES[Preset.MINER])


async def say(client: httpx2.AsyncClient, key: Key, path: str, body: Any, status: int = 200) -> Any:
    """POST as an existing miner does; the answer's JSON."""
    answer = await client.post(path, headers={"X-Api-Key": key.text}, json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def test_an_existing_miner_runs_unchanged(client: httpx2.AsyncClient, world: World, key: Key, miner: Key) -> None:
    """Register, heartbeat with fields of its own, poll, result, fail: every answer to the letter."""
    capabilities = {"gpus": [{"name": "RTX 4090", "memory_mb": 24576}], "custom": {"any": [1]}}
    body = {"capabilities": capabilities, "concurrency": 2, "region": "eu"}
    registered = await say(client, miner, "/v1/miners/register?miner_id=rig-1&version=7", body)
    assert (list(registered), registered["status"]) == (["status", "session_token"], "ok")
    beat = {"inflight": 0, "status": "ONLINE", "metadata": {"load": 0.5}, "architecture": "ada", "edge_optimized": True}
    assert await say(client, miner, "/v1/miners/heartbeat?miner_id=rig-1", beat) == {"status": "ok"}
    assert await say(client, miner, "/v1/miners/poll?miner_id=rig-1", {"max_wait_seconds": 0}, 204) is None
    jobs = []
    for number in (1, 2):
        body = {"payload": {"n": number}, "constraints": {"gpu": "4090"}}
        jobs.append(await say(client, key, "/v1/jobs", body, 201))
        world.clock.now_us += 1000
    first, second = [await say(client, miner, "/v1/miners/poll?miner_id=rig-1", {"max_wait_seconds": 1}) for _ in jobs]
    assert first == {"job_id": jobs[0]["job_id"], "payload": {"n": 1}, "constraints": {"gpu": "4090"}}
    done = await say(client, miner, f"/v1/miners/{first['job_id']}/result?miner_id=rig-1", {"result": {"ok": True}})
    assert (list(done), done["status"]) == (["status", "receipt"], "ok")
    assert done["receipt"] == {
        "receipt_id": done["receipt"]["receipt_id"],
        "job_id": first["job_id"],
        "miner_id": "rig-1",
        "completed_at": "2026-11-24T05:46:30.002Z",
        "result_sha256": "4062edaf750fb8074e7e83e0c9028c94e32468a8b6f1614774328ef045150f93",
    }
    failure = {"error_code": "oom", "error_message": "no memory", "metrics": {"seconds": 1}}
    assert await say(client, miner, f"/v1/miners/{second['job_id']}/fail", failure) == {"status": "ok"}
    failed = await client.get(f"/v1/jobs/{second['job_id']}", headers=key.headers)
    assert (failed.json()["state"], failed.json()["error"]) == ("FAILED", "oom: no memory")
    listed = (await client.get("/v1/miners", headers=miner.headers)).json()["items"]
    assert listed == [
        {
            "miner_id": "rig-1",
            "key_id": miner.id,
            "status": "ONLINE",
            "region": "eu",
            "concurrency": 2,
            "inflight": 0,
            "capabilities": capabilities,
            "registered_at": "2026-11-24T05:46:30.000Z",
            "last_seen_at": "2026-11-24T05:46:30.002Z",
        }
    ]


async def test_a_bad_body_names_its_field(client: httpx2.AsyncClient, miner: Key) -> None:
    """422, never 500."""
    for path, body, field in BAD_CALLS:
        answer = await client.post(f"/v1/miners/{path}", headers=miner.headers, json=body)
        assert answer.status_code == 422, (path, body, answer.text)
        assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_poll_that_waits_is_answered_when_a_job_comes(client: httpx2.AsyncClient, key: Key, miner: Key) -> None:
    """200 with the job, long before the wait is over."""
    await say(client, miner, "/v1/miners/register", {})
    poll = asyncio.create_task(say(client, miner, "/v1/miners/poll", {"max_wait_seconds": 30}))
    await asyncio.sleep(0.2)
    job = await say(client, key, "/v1/jobs", {"a": 1}, 201)
    async with asyncio.timeout(1):
        assert (await poll)["job_id"] == job["job_id"]


async def test_a_key_revoked_while_it_waits_gets_the_refusal_and_no_job(
    client: httpx2.AsyncClient, world: World, key: Key, miner: Key
) -> None:
    """401 `revoked_api_key` with its challenge, in place of the job, which stays QUEUED."""
    manager = await world.add_key("acme")
    await say(client, miner, "/v1/miners/register", {})
    poll = asyncio.create_task(client.post("/v1/miners/poll", headers=miner.headers, json={"max_wait_seconds": 30}))
    await asyncio.sleep(0.2)
    await say(client, manager, f"/v1/api-keys/{miner.id}/revoke", None)
    job = await say(client, key, "/v1/jobs", {"a": 1}, 201)
    async with asyncio.timeout(5):
        answer = await poll
    assert (answer.status_code, answer.json()["code"]) == (401, "revoked_api_key")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "invalid_token" in answer.headers["www-authenticate"]
    assert (await client.get(f"/v1/jobs/{job['job_id']}", headers=key.headers)).json()["state"] == "QUEUED"


async def test_an_unknown_miner_is_told_to_register(client: httpx2.AsyncClient, miner: Key) -> None:
    """404 that says what to do."""
    problem = await say(client, miner, "/v1/miners/poll?miner_id=rig", {"max_wait_seconds": 0}, 404)
    assert problem["code"] == "not_found"
    assert "/v1/miners/register" in problem["detail"]
