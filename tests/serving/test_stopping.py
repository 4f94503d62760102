"""How a server stops: gracefully within 5 s, at once when told twice, by SIGKILL without leaving anything behind."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
from tests.e2e.processes import STOP_S, ServerProcess, running
from tests.serving.conftest import RawRequest

Open = Callable[[ServerProcess], RawRequest]

JOB = '{"type": "text-statistics", "text": "kept"}'


def _begin_job(raw: Open, server: ServerProcess, key: str) -> RawRequest:
    """A job submission of which the last byte is still missing."""
    request = raw(server)
    request.send(
        f"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(JOB)}\r\n\r\n{JOB[:-1]}"
    )
    time.sleep(0.3)
    return request


def test_sigterm_finishes_requests_in_flight(server: ServerProcess, raw: Open) -> None:
    """A request that has begun is answered, new connections are refused, and the exit code is 0 within 5 s."""
    server.create_tenant("acme")
    key = server.create_key("acme", "client")
    request = _begin_job(raw, server, key)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    try:
        httpx2.get(server.url + "/health/live", timeout=2)
        raise AssertionError("a stopping server took a new connection")
    except httpx2.ConnectError:
        pass
    request.send(JOB[-1])
    answer = request.answer()
    assert " 201 " in answer.splitlines()[0]
    assert server.process.wait(STOP_S) == 0
    with running("serve", data_dir=server.data_dir) as again:
        job_id = json.loads(answer.partition("\r\n\r\n")[2])["job_id"]
        found = httpx2.get(f"{again.url}/v1/jobs/{job_id}", headers={"x-api-key": key})
        assert (found.status_code, found.json()["state"]) == (200, "QUEUED")


def test_a_long_poll_answers_at_once_when_the_server_stops(server: ServerProcess) -> None:
    """A miner that waits for work does not hold the stop up: it is told that there is none."""
    server.create_tenant("acme")
    headers = {"x-api-key": server.create_key("acme", "miner")}
    httpx2.post(f"{server.url}/v1/miners/register?miner_id=m", headers=headers, json={}).raise_for_status()
    with ThreadPoolExecutor() as pool:
        poll = pool.submit(
            httpx2.post,
            f"{server.url}/v1/miners/poll?miner_id=m",
            headers=headers,
            json={"max_wait_seconds": 25},
            timeout=30,
        )
        time.sleep(0.5)
        began_s = time.monotonic()
        assert server.stop() == 0
        assert poll.result().status_code == 204
    assert time.monotonic() - began_s < 2


def test_a_request_that_never_ends_does_not_hold_the_stop_up(server: ServerProcess, raw: Open) -> None:
    """Whoever stops in the middle of a request is cut off; what was counted is stored, the exit code is 0."""
    request = raw(server)
    request.send("GET /v1/jobs HTTP/1.1\r\nHo")
    time.sleep(0.2)
    assert server.stop() == 0
    assert "cut off" in server.text()
    assert not (server.data_dir / "aitbc.db-wal").exists(), "the database was not closed"


def test_a_second_signal_ends_the_process_at_once(server: ServerProcess, raw: Open) -> None:
    """Who presses Ctrl-C twice does not want to wait."""
    request = raw(server)
    request.send("GET /v1/jobs HTTP/1.1\r\nHo")
    time.sleep(0.2)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    server.process.send_signal(signal.SIGINT)
    # The signal itself ended it, in the middle of the 3 s that the request would have had.
    assert server.process.wait(STOP_S) == -signal.SIGINT
    assert "cut off" not in server.text()


def test_sigkill_frees_the_port_and_the_folder_and_loses_no_job(tmp_path: Path) -> None:
    """A job that was answered with 201 survives; a new server has the same port and folder in the same moment."""
    with running("serve", data_dir=tmp_path / "data") as server:
        server.create_tenant("acme")
        headers = {"x-api-key": server.create_key("acme", "client")}
        made = httpx2.post(f"{server.url}/v1/jobs", headers=headers, content=JOB)
        assert made.status_code == 201
        server.kill()
        variables = {"AITBC_PORT": str(server.port)}
        with running("serve", data_dir=tmp_path / "data", variables=variables) as again:
            assert again.port == server.port
            found = httpx2.get(f"{again.url}/v1/jobs/{made.json()['job_id']}", headers=headers)
            assert (found.status_code, found.json()["state"]) == (200, "QUEUED")


def test_windows_survive_a_graceful_restart(server: ServerProcess) -> None:
    """A free tenant that made its 60 requests is refused by the next server too, until its window is over."""
    server.create_tenant("small", "free")
    headers = {"x-api-key": server.create_key("small", "client")}
    with httpx2.Client(base_url=server.url, headers=headers) as client:
        assert [client.get("/v1/jobs").status_code for _ in range(61)] == [200] * 60 + [429]
    assert server.stop() == 0
    kept = server.data_dir / "limits.msgpack"
    assert kept.stat().st_mode & 0o777 == 0o600
    with running("serve", data_dir=server.data_dir) as again:
        assert not kept.exists(), "the windows would be used twice"
        refused = httpx2.get(f"{again.url}/v1/jobs", headers=headers)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 60
