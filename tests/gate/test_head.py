"""HEAD as a GET without a body, for whatever is behind it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.gate.factories import key, tenant
from tests.gate.served import Served

from aitbc_server.gate.head import as_get


@pytest.fixture
def served() -> Served:
    served = Served()
    served.add_key("k", key(tenant(limit=2), scopes=["jobs:read"]))
    return served


async def test_it_is_the_gets_operation(served: Served) -> None:
    """One scope, one limit, one count; the app behind sees a GET."""
    assert [(await served.call("HEAD", "/v1/jobs", "k")).status for _ in range(3)] == [200, 200, 429]
    assert served.counts() == {
        ("kid000000001", "jobs.list", "allowed"): 2,
        ("kid000000001", "jobs.list", "rate_limit_exceeded"): 1,
    }
    assert {context.operation.id for context in served.app.contexts} == {"jobs.list"}


async def test_no_body_follows(served: Served) -> None:
    """Neither one of the app's, nor that of an error, whose length is said."""
    answer = await served.call("HEAD", "/v1/jobs", "k")
    assert (answer.status, answer.body) == (200, b"")
    refused = await served.call("HEAD", "/v1/jobs")
    assert (refused.status, refused.body) == (401, b"")
    of_get = await served.get("/v1/jobs")
    assert refused.headers["content-length"] == of_get.headers["content-length"] == str(len(of_get.body))


async def test_where_there_is_no_get_there_is_no_head(served: Served) -> None:
    """405 that says which methods there are."""
    answer = await served.call("HEAD", "/v1/api-keys/verify", "k")
    assert (answer.status, answer.headers["allow"], answer.body) == (405, "POST", b"")


async def test_a_stream_is_over_when_its_head_is_sent() -> None:
    """What goes on without an end ends there: the client is gone."""
    scope: dict[str, Any] = {"method": "HEAD"}
    sent: list[Any] = []

    async def note(message: Any) -> None:
        sent.append(message)

    receive, send = as_get(scope, note)
    assert scope["method"] == "GET"
    assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
    waiting = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
    await send(start)
    assert await waiting == {"type": "http.disconnect"}
    await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
    assert sent == [start, {"type": "http.response.body", "body": b"", "more_body": False}]
