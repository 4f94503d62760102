"""Nodes on one PostgreSQL database wake one another's miners; see tests/fleet for real servers that do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import text
from tests.jobs.test_waiting import fill, is_woken, offer, seeker

from aitbc_server.db import notices as notices_module
from aitbc_server.db.engine import Database
from aitbc_server.db.notices import Notices
from aitbc_server.jobs import across_nodes
from aitbc_server.jobs.waiting import WaitingRoom

SOON_S = 5.0


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it; fails after some seconds."""
    async with asyncio.timeout(SOON_S):
        while not condition():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.002)


class Node:
    """A room, and its connection to the others."""

    def __init__(self, database: Database) -> None:
        self.room = WaitingRoom()
        self.heard: list[bytes] = []
        self.notices = Notices(database.url, self._hear)
        across_nodes.connect(self.room, self.notices.tell)

    def _hear(self, notice: bytes) -> None:
        self.heard.append(notice)
        across_nodes.hear(self.room, notice)


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """PostgreSQL: SQLite has one node."""
    return postgres_url


@pytest.fixture
async def nodes(database: Database) -> AsyncIterator[tuple[Node, Node]]:
    """Two that listen."""
    first, second = Node(database), Node(database)
    async with first.notices.running(), second.notices.running():
        await until(lambda: first.notices.is_connected and second.notices.is_connected)
        yield first, second


async def test_a_job_wakes_who_waits_elsewhere_when_nobody_is_here(nodes: tuple[Node, Node]) -> None:
    """It is told with all that decides who may have it, and one who may is woken, within milliseconds."""
    here, there = nodes
    async with AsyncExitStack() as stack:
        cpu, gpu = await fill(stack, there.room, seeker("cpu"), seeker("gpu", capabilities={"gpu": "A100"}))
        began_s = time.monotonic()
        here.room.queued(offer(gpu="A100"))
        assert await gpu.woken(SOON_S)
        assert time.monotonic() - began_s < 0.5
        assert not await is_woken(cpu)


async def test_a_job_that_somebody_here_can_have_is_not_told_of(nodes: tuple[Node, Node]) -> None:
    """The others hear of it only once it was left."""
    here, there = nodes
    async with AsyncExitStack() as stack:
        async with AsyncExitStack() as leaving:
            [waiter] = await fill(leaving, here.room, seeker("here"))
            [elsewhere] = await fill(stack, there.room, seeker("there"))
            here.room.queued(offer())
            assert await is_woken(waiter)
            assert not await elsewhere.woken(0.05)
        # It hung up without looking.
        assert await elsewhere.woken(SOON_S)


async def test_what_was_heard_of_is_not_told_again(nodes: tuple[Node, Node]) -> None:
    """Else two nodes whose miners are busy would tell each other of one job for ever."""
    here, there = nodes
    async with AsyncExitStack() as stack:
        [waiter] = await fill(stack, there.room, seeker("there"))
        here.room.queued(offer())
        assert await waiter.woken(SOON_S)
        there.room.busy(waiter)
        there.room.queued(offer("job_2"))
        await until(lambda: bool(here.heard))
        assert [b"job_2" in each for each in here.heard] == [True]


async def test_who_was_busy_hears_that_a_lease_ended_elsewhere(nodes: tuple[Node, Node]) -> None:
    """A miner may hand in its result at one node while it waits at another."""
    here, there = nodes
    async with AsyncExitStack() as stack:
        [waiter] = await fill(stack, there.room, seeker("rig"))
        there.room.busy(waiter)
        here.room.freed("k", "rig")
        assert await waiter.woken(SOON_S)
        assert not waiter.is_busy


async def test_thousands_of_jobs_at_once_are_all_told_of(nodes: tuple[Node, Node]) -> None:
    """However many fit into a notification of PostgreSQL's, and however long each is."""
    here, there = nodes
    for number in range(2000):
        here.room.queued(offer(f"job_{number}", models=["m" * (number % 50)]))
    here.room.queued(offer("job_long", models=["long" * 3000]))
    await until(lambda: len(there.heard) == 2001)
    assert b"long" * 3 not in there.heard[-1]
    assert not here.heard


async def test_a_lost_connection_is_made_anew(
    nodes: tuple[Node, Node], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile nothing is told and nothing fails; afterwards notices come and go again."""
    monkeypatch.setattr(notices_module, "_RECONNECT_S", 0.05)
    here, there = nodes
    await cut(database)
    await until(lambda: not here.notices.is_connected and not there.notices.is_connected)
    here.room.queued(offer())
    await until(lambda: here.notices.is_connected and there.notices.is_connected)
    here.room.queued(offer("job_2"))
    await until(lambda: bool(there.heard))
    assert b"job_2" in there.heard[0]


@pytest.mark.parametrize("payload", ["", "nonsense", "[1]", '[{"type":"later"}]'])
async def test_what_cannot_be_read_harms_nothing(nodes: tuple[Node, Node], database: Database, payload: str) -> None:
    """A node of another release, or a person at the database, may tell anything."""
    here, there = nodes
    async with database.write() as session:
        await session.execute(text("SELECT pg_notify('aitbc_notices', :payload)"), {"payload": payload})
        await session.commit()
    here.room.queued(offer())
    await until(lambda: any(b"job_1" in each for each in there.heard))


async def cut(database: Database) -> None:
    """End the connections that listen, as a restart of the database does."""
    ends: Any = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%aitbc_notices%'"
        " AND pid <> pg_backend_pid() AND datname = current_database()"
    )
    async with database.read() as session:
        await session.execute(ends)
