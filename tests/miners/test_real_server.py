"""Long polls on a real server: clients that hang up, and a stop."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import httpx2
from tests.e2e.processes import running

POLL = {"max_wait_seconds": 30}


async def test_long_polls_of_a_real_server(tmp_path: Path) -> None:
    """A client that hangs up gives up its place; SIGTERM answers every poll that waits, at once."""
    with running("serve", data_dir=tmp_path / "data") as server:
        server.create_tenant("acme")
        key = server.create_key("acme", "manager")
        async with httpx2.AsyncClient(base_url=server.url, headers={"X-API-Key": key}, timeout=40) as client:
            assert (await client.post("/v1/miners/register", json={})).status_code == 200
            await hang_up_while_polling(server.port, key)
            job_id = (await client.post("/v1/jobs", json={"a": 1})).json()["job_id"]
            await asyncio.sleep(0.5)
            assert (await client.get(f"/v1/jobs/{job_id}")).json()["state"] == "QUEUED"
            assert (await client.post("/v1/miners/poll", json=POLL)).json()["job_id"] == job_id
            polls = [asyncio.create_task(client.post("/v1/miners/poll", json=POLL)) for _ in range(4)]
            await asyncio.sleep(0.5)
            began = time.monotonic()
            assert await asyncio.to_thread(server.stop) == 0
            assert [(await poll).status_code for poll in polls] == [204] * 4
            assert time.monotonic() - began < 5


async def hang_up_while_polling(port: int, key: str) -> None:
    """Send a poll, and close the connection before it is answered."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps(POLL).encode()
    head = f"POST /v1/miners/poll HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    await asyncio.sleep(0.5)
    writer.close()
    await asyncio.sleep(0.5)
