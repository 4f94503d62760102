"""Connections that nobody uses well: too many of them, idle ones, and clients that never finish a sentence."""

from __future__ import annotations

import resource
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from tests.e2e.processes import ServerProcess, start
from tests.gate.factories import key, tenant
from tests.gate.served import Served
from tests.serving.sites import Site, serving

from aitbc_server.gate import body
from aitbc_server.serving import listener

KEY = b"X-API-Key: the-right-key\r\n"
VERIFY = b"POST /v1/api-keys/verify HTTP/1.1\r\nHost: localhost\r\n" + KEY


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """A server in this process that waits for half a second only."""
    monkeypatch.setattr(body, "BODY_DEADLINE_S", 0.5)
    monkeypatch.setattr(listener, "HEADERS_DEADLINE_MS", 500)
    served = Served()
    served.add_key("the-right-key", key(tenant(limit=1000), scopes=["jobs:read", "api_keys:verify"]))
    async with serving(served) as site:
        yield site


@pytest.mark.parametrize("length", [b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_a_body_that_does_not_come_is_not_waited_for(site: Site, length: bytes) -> None:
    """A client that sends headers and then nothing is told so in the one shape, and its connection ends."""
    began_s = time.monotonic()
    answer = await site.raw(VERIFY + length + b"\r\n")
    assert time.monotonic() - began_s > 0.4
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answer.lower()
    assert b'"detail":"The body did not arrive within 0.5 s."' in answer


async def test_a_body_that_drips_is_not_waited_for_longer(site: Site) -> None:
    """The time is for the whole body: who sends a byte now and then gains nothing by it."""
    # It would drip for longer than an answer is waited for here.
    answer = await site.raw(VERIFY + b"Content-Length: 1000\r\n\r\n", *[b"{"] * 200, pause_s=0.1)
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (b"", 0),
        (b"GET /v1/jobs HT", 0),
        (b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-API-", 0),
        (b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\n" + KEY + b"\r\n", 1),
    ],
    ids=["silent", "half a line", "half a header", "idle after a request"],
)
async def test_a_connection_that_says_nothing_is_closed(site: Site, sent: bytes, answers: int) -> None:
    """Neither the first request's headers nor the next one's are waited for for ever."""
    began_s = time.monotonic()
    assert (await site.raw(sent)).count(b"HTTP/1.1 200 ") == answers
    assert time.monotonic() - began_s > 0.4


async def test_a_refused_request_with_a_body_ends_its_connection(site: Site) -> None:
    """What is left of its body is not taken for another request."""
    wrong = VERIFY.replace(b"right", b"wrong") + b"Content-Length: 70\r\n\r\n"
    smuggled = b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\n" + KEY + b"\r\n"
    answer = await site.raw(wrong + smuggled[:70])
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 401 ")


FILES = 200


def _held(port: int, number: int) -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(number)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process's files")
def test_more_connections_than_files_leave_the_server_its_own(tmp_path: Path) -> None:
    """With few files to be had, a flood of connections waits; who is connected is served, the database included."""
    process = start("serve", data_dir=tmp_path / "data")
    resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
    flood: list[socket.socket] = []
    try:
        process.wait_until_ready()
        process.create_tenant("acme")
        secret = process.create_key("acme", "client")
        with httpx2.Client(base_url=process.url, headers={"x-api-key": secret}) as member:
            assert member.get("/v1/jobs").status_code == 200
            flood = _held(process.port, 300)
            time.sleep(0.5)
            assert 72 <= _open_files(process) <= FILES - 60
            for _ in range(20):
                assert member.post("/v1/jobs", json={"payload": {"type": "x"}}).status_code == 201
            for each in flood:
                each.close()
        _is_well_again(process, secret)
        assert process.stop() == 0
        assert "Too many open files" not in process.text()
    finally:
        for each in flood:
            each.close()
        if process.process.poll() is None:
            process.kill()


def _open_files(server: ServerProcess) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def _is_well_again(server: ServerProcess, secret: str) -> None:
    answer = httpx2.get(f"{server.url}/v1/jobs", headers={"x-api-key": secret}, timeout=10)
    assert answer.status_code == 200
