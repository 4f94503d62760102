"""The gate on the real HTTP server: what only shows on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.gate.factories import key, tenant
from tests.gate.served import Served
from tests.serving.sites import Site, serving

KEY = "the-right-key"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A server in this process; it stops with the test."""
    served = Served()
    served.add_key(KEY, key(tenant(limit=1000), scopes=["jobs:read", "api_keys:verify"]))
    async with serving(served) as site:
        yield site


@pytest.mark.parametrize("name", ["X-Api-Key", "x-api-key", "X-API-KEY", "x-aPi-KeY"])
async def test_the_headers_name_has_no_case(site: Site, name: str) -> None:
    """Clients in the field write it as they like."""
    assert (await site.ask(headers=[f"{name}: {KEY}".encode()]))[0] == 200


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ([], 401, b"missing_api_key"),
        ([b"X-API-Key:"], 401, b"invalid_api_key"),
        ([b"X-API-Key: \xff\xfe"], 401, b"invalid_api_key"),
        ([b"X-API-Key: " + b"k" * 10_240], 401, b"invalid_api_key"),
        ([b"Authorization: Bearer"], 401, b"invalid_api_key"),
        ([b"X-API-Key: the-right-key", b"x-api-key: the-right-key"], 400, b"ambiguous_credentials"),
        ([b"X-API-Key: the-right-key", b"Authorization: Bearer other"], 400, b"ambiguous_credentials"),
        ([b"X-API-Key: the-right-key", b"X-Tenant-ID:"], 403, b"tenant_mismatch"),
        ([b"X-API-Key: the-right-key", b"X-Tenant-ID: alice", b"X-Tenant-ID: bob"], 400, b"bad_request"),
    ],
)
async def test_bad_credentials_on_the_wire(site: Site, headers: list[bytes], status: int, code: bytes) -> None:
    """The server hands every header over as it came; none becomes a 500."""
    answer = await site.ask(headers=headers)
    assert answer[0] == status
    assert b'"code":"%b"' % code in answer[1]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/jobs", 200),
        ("/v1/jobs?a=1", 200),
        ("/v1/jobs/", 404),
        ("//v1/jobs", 404),
        ("/v1/jobs/..", 404),
        ("/v1/%6Aobs", 200),
        ("/v1/jobs%2F", 404),
        ("/v1/jobs%00", 404),
        ("/v1/jo%FFbs", 404),
    ],
)
async def test_paths_on_the_wire(site: Site, path: str, status: int) -> None:
    """One reading of a path: decoded once, nothing cut off or put together. ASVS 8.3.1."""
    assert (await site.ask(path=path, headers=[b"X-API-Key: the-right-key"]))[0] == status
    assert (await site.ask(path=path))[0] == 401


async def test_head_has_no_body(site: Site) -> None:
    """RFC 9110, 9.3.2: status and headers of the GET, and nothing after them; errors too."""
    for path, headers, status in (
        ("/health", [], 200),
        ("/v1/api-keys/self", [b"X-API-Key: the-right-key"], 200),
        ("/v1/jobs", [], 401),
        ("/v1/nope", [b"X-API-Key: the-right-key"], 404),
    ):
        site.served.app.headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
        of_get = await site.ask("GET", path, headers)
        of_head = await site.ask("HEAD", path, headers)
        assert (of_get[0], of_head[0]) == (status, status), path
        head, _, body = of_get[1].partition(b"\r\n\r\n")
        assert of_head[1].endswith(b"\r\n\r\n"), path
        assert b"content-length: %d\r\n" % len(body) in of_head[1], path
        names = [sorted(line.partition(b":")[0] for line in each.split(b"\r\n") if line) for each in (head, of_head[1])]
        assert names[0] == names[1], path


async def test_head_of_an_answer_of_unknown_length(site: Site) -> None:
    """It is not said to be empty."""
    status, rest = await site.ask("HEAD", headers=[b"X-API-Key: the-right-key"])
    assert (status, b"content-length" in rest, rest[-4:]) == (200, False, b"\r\n\r\n")


async def test_requests_behind_a_head_are_answered(site: Site) -> None:
    """What follows on the connection is not taken for the body that never came, nor the other way round."""
    line = b" /health HTTP/1.1\r\nHost: localhost\r\n"
    site.served.app.headers = [(b"content-length", b"2")]
    raw = await site.raw(b"HEAD" + line + b"\r\nGET" + line + b"\r\nHEAD" + line + b"Connection: close\r\n\r\n")
    assert raw.count(b"HTTP/1.1 200 OK") == 3
    assert raw.count(b"ok") == 1


async def test_half_an_answer_does_not_look_whole(site: Site) -> None:
    """An error in the middle ends the connection without the end of the body."""
    site.served.app.error, site.served.app.fails_after_start = RuntimeError("late"), True
    request = b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-API-Key: the-right-key\r\n\r\n"
    answer = await site.raw(request)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"transfer-encoding: chunked" in answer.lower()
    assert not answer.endswith(b"0\r\n\r\n")


async def test_a_verify_call_over_the_wire(site: Site) -> None:
    """Body and answer whole; a body that was announced as too large is refused before it is sent."""
    headers = [b"X-API-Key: the-right-key", b"Content-Type: application/json"]
    body = b'{"key":"the-right-key"}'
    answer = await site.ask("POST", "/v1/api-keys/verify", [*headers, b"Content-Length: %d" % len(body)], body)
    assert answer[0] == 200
    assert b'"valid":true' in answer[1]
    too_large = await site.ask("POST", "/v1/api-keys/verify", [*headers, b"Content-Length: 9000000"], b"{")
    assert too_large[0] == 413


async def test_a_client_that_hangs_up_leaves_the_server_well(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """In the middle of a body, and before its answer; no error is logged, and the next one is served."""
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(
        b"POST /v1/api-keys/verify HTTP/1.1\r\nHost: localhost\r\nX-API-Key: the-right-key\r\n"
        b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    )
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.transport.abort()
    await asyncio.sleep(0.1)
    assert (await site.ask(headers=[b"X-API-Key: the-right-key"]))[0] == 200
    assert [record for record in caplog.records if record.name.startswith("aitbc_server")] == []
