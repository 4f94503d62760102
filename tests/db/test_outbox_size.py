"""A change that concerns every tenant there is: the outbox is drained, and nobody is held up by it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import event, text
from tests.db.test_fences import Server
from tests.support.turns import watched_turns

from aitbc_server.clock import system_clock
from aitbc_server.db import outbox
from aitbc_server.db.draining import OutboxDrainer
from aitbc_server.db.engine import Database
from aitbc_server.db.outside_fences import OutsideFences

#: More than a statement of PostgreSQL may carry values, in the long form.
ROWS = 40_000 if os.environ.get("AITBC_FULL") == "1" else 6_000
#: What is done at once takes some milliseconds; with coverage's tracing, several times as long.
HELD_S = 0.05


async def change_everybody(database: Database) -> None:
    """A change of so many tenants, committed by somebody else."""
    async with database.write() as session:
        await outbox.append(session, (f"tenant-{number}" for number in range(ROWS)))
        await session.commit()


async def is_pending(database: Database) -> bool:
    """Whether something is not drained."""
    return bool(await database.ask(outbox.PENDING_UP_TO, {"last_id": 10 * ROWS}))


class Node:
    """A node of a fleet: what it drops, and what it tells the store."""

    def __init__(self, database: Database) -> None:
        self.dropped: list[str] = []
        self.raised: list[list[str]] = []
        self.now_us = system_clock()
        self.drainer = OutboxDrainer(database, self._drop, lambda: self.now_us, self._raise)

    def _drop(self, tenant_ids: Iterable[str]) -> None:
        self.dropped += tenant_ids

    async def drain(self) -> None:
        """Round for round, until nothing is left to do."""
        while True:
            before = len(self.raised)
            await self.drainer.drain()
            if len(self.raised) == before:
                return

    async def _raise(self, tenant_ids: Iterable[str]) -> None:
        self.raised.append(list(tenant_ids))
        await asyncio.sleep(0)


async def test_a_change_of_every_tenant_holds_no_node_up(database: Database) -> None:
    """Each node drops each tenant once, some at a time; so is the store told, and so does the feed end. Design 6."""
    first, second = Node(database), Node(database)
    await change_everybody(database)
    async with watched_turns() as turns:
        await first.drain()
        assert not await is_pending(database)
        await second.drain()
        await second.drain()
        first.now_us += 61_000_000
        while await database.ask(outbox.LATER, {"after": 0}):
            await first.drain()
    assert turns.longest_s < HELD_S
    assert [sorted(node.dropped) for node in (first, second)] == [sorted(f"tenant-{n}" for n in range(ROWS))] * 2
    assert max(map(len, first.raised)) <= outbox.PORTION
    assert sum(map(len, first.raised)) == ROWS
    assert second.raised == []


async def test_nodes_drain_the_same_rows_side_by_side(database: Database) -> None:
    """None waits for another one's rows, and together they leave none."""
    nodes = [Node(database) for _ in range(3)]
    await change_everybody(database)
    await asyncio.gather(*(node.drain() for node in nodes))
    assert not await is_pending(database)
    assert [len(node.dropped) for node in nodes] == [ROWS] * 3


async def test_a_round_ends_soon(database: Database) -> None:
    """Whoever stops a server waits for the round at hand, and not for everybody's change."""
    node = Node(database)
    async with database.write() as session:
        await outbox.append(session, (f"tenant-{number:06}" for number in range(25 * outbox.PORTION)))
        await session.commit()
    await node.drainer.drain()
    assert (len(node.dropped), len(node.raised)) == (25 * outbox.PORTION, 20)
    await node.drainer.drain()
    assert not await is_pending(database)


async def test_a_look_at_a_long_feed_costs_one_question(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a node has read it does not read again, for all of the minute that it lies there."""
    node = Node(database)
    await change_everybody(database)
    await node.drain()
    asked: list[Any] = []
    ask = database.ask

    async def noted(*question: Any) -> Any:
        asked.append(question)
        return await ask(*question)

    monkeypatch.setattr(database, "ask", noted)
    for _ in range(10):
        await node.drainer.drain()
    assert asked == [(outbox.STATE, {})] * 10


async def test_a_command_waits_for_the_server_and_leaves_nothing_where_there_is_none(database: Database) -> None:
    """Beside a server that drains, and without one: however many tenants it concerns."""
    server = Server(database, runs=True)
    fences = OutsideFences(database, server.is_there, timeout_s=60)
    await change_everybody(database)
    async with watched_turns() as turns:
        waiting = asyncio.create_task(fences.announce(["tenant-1"]))
        await asyncio.sleep(0.1)
        while await is_pending(database):
            await server.drainer.drain()
        assert await waiting
        await change_everybody(database)
        server.runs = False
        assert await fences.announce(["tenant-1"])
    assert turns.longest_s < HELD_S
    assert not await is_pending(database)


async def test_every_question_finds_its_rows_by_an_index(database: Database) -> None:
    """A second of a node, and a look of a command, read no more of the outbox than they need."""
    await change_everybody(database)
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "UPDATE fence_outbox" in statement or "DELETE FROM fence_outbox" in statement:
            statements.append(statement)

    node = Node(database)
    event.listen(database.writer.sync_engine, "before_cursor_execute", note)
    await node.drain()
    node.now_us += 61_000_000
    await node.drain()
    event.remove(database.writer.sync_engine, "before_cursor_execute", note)
    questions = [outbox.STATE, outbox.LATER, outbox.PENDING, outbox.PENDING_UP_TO]
    found = [each.on(database.reader.dialect, {"after": 7, "last_id": 7})[0] for each in questions]
    assert {each.split()[0] for each in statements} == {"UPDATE", "DELETE"}
    await change_everybody(database)
    for statement in {*found, *statements}:
        plan = await explained(database, statement)
        assert not re.search(r"Seq Scan on fence_outbox|SCAN fence_outbox", plan), plan
        assert statement in statements or not re.search(r"Sort|TEMP B-TREE", plan), plan


async def explained(database: Database, statement: str) -> str:
    """What the database says that it will do, with numbers for what is asked about."""
    # Up to a number above all of them: of the first few, any plan would do.
    literal = re.sub(r"(<= )?(\$\d+(::\w+)?|\?)", lambda found: "<= 9999999" if found[1] else "7", statement)
    async with database.write() as session:
        await session.execute(text("ANALYZE fence_outbox"))
        if not database.is_sqlite:
            # The question is which index fits, not from how many rows on it pays.
            await session.execute(text("SET LOCAL enable_seqscan = off"))
        connection = await session.connection()
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        return "\n".join(str(row) for row in (await connection.exec_driver_sql(explain + literal)).all())
