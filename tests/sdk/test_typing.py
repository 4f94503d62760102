"""The types that a user's type checker and editor see. mypy checks this file; it runs, too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from tests.sdk.conftest import KEY
from tests.sdk.samples import API_KEY, JOB
from tests.sdk.scripted import Answer, ScriptedServer

from aitbc import AITBCClient, AsyncAITBCClient
from aitbc.schemas.api_keys import ApiKeyWithSecret, KeySelf
from aitbc.schemas.audit import AuditEvent
from aitbc.schemas.jobs import Job
from aitbc.schemas.miners import AssignedJob

SELF = {"key": API_KEY, "tenant": {"id": "t", "name": "T", "plan": "pro"}, "limits": []}
ANSWERS = [Answer(JOB), Answer(JOB), Answer(status=204), Answer(SELF), Answer({**API_KEY, "key": "k"})]


def test_the_blocking_client_returns_objects(server: ScriptedServer) -> None:
    """Each call has the type of its object, through one declaration for both clients."""
    server.answers(*ANSWERS)
    with AITBCClient(KEY, server.url) as client:
        assert_type(client, AITBCClient)
        assert_type(client.jobs.create({"name": "x", "model": {"type": "python"}}), Job)
        assert_type(client.jobs.get("job_1"), Job)
        assert_type(client.jobs.list(), Iterator[Job])
        assert_type(client.miners.poll(0), AssignedJob | None)
        assert_type(client.api_keys.self(), KeySelf)
        assert_type(client.api_keys.create(name="x", scopes=["jobs:read"]), ApiKeyWithSecret)
        assert_type(client.audit.list(), Iterator[AuditEvent])
    assert not server.script


async def test_the_async_client_is_awaited_for_them(server: ScriptedServer) -> None:
    """The same objects, awaited; lists are async iterators."""
    server.answers(*ANSWERS)
    async with AsyncAITBCClient(KEY, server.url) as client:
        assert_type(client, AsyncAITBCClient)
        assert_type(await client.jobs.create({"name": "x", "model": {"type": "python"}}), Job)
        assert_type(await client.jobs.get("job_1"), Job)
        assert_type(client.jobs.list(), AsyncIterator[Job])
        assert_type(await client.miners.poll(0), AssignedJob | None)
        assert_type(await client.api_keys.self(), KeySelf)
        assert_type(await client.api_keys.create(name="x", scopes=["jobs:read"]), ApiKeyWithSecret)
        assert_type(client.audit.list(), AsyncIterator[AuditEvent])
    assert not server.script
