"""What no cluster should answer: the node says so, goes on, and asks again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.valkey.nodes import until

from aitbc_server.valkey.cluster import Cluster
from aitbc_server.valkey.connection import Address
from aitbc_server.valkey.urls import Target

_ODD = b"*1\r\n:1\r\n"


async def test_an_answer_that_nobody_expected_is_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    """The start does not wait for ever, one line tells, and the servers are asked on."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while data := await reader.read(1000):
            is_question = b"SLOTS" in data
            asked += is_question
            writer.write(_ODD if is_question else b"+OK\r\n")
        writer.close()

    def make(_address: Address) -> Any:
        raise AssertionError("no master was named")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seed = Address(port=server.sockets[0].getsockname()[1])
    cluster: Cluster[Any] = Cluster(Target("cluster", (seed,)), make, lambda _slots: None, timeout_s=1)
    async with server:
        async with asyncio.timeout(5):
            assert not await cluster.start()
        await until(lambda: asked >= 3)
        await cluster.stop()
        # What it closed is closed here too before the loop ends.
        await asyncio.sleep(0.05)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "the shape of the Valkey cluster cannot be read; it is tried again"
    ]
