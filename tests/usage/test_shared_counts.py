"""Usage on its way from the store that nodes share to the database: everything once, whoever brings it, and gently."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, select
from tests.gate.factories import tenant
from tests.support.valkey import ValkeyProcess

from aitbc_server.db.engine import Database
from aitbc_server.gate.counter import MINUTE_US
from aitbc_server.gate.numbers import NodeNumbers
from aitbc_server.gate.records import limit_set
from aitbc_server.gate.shared_store import Question
from aitbc_server.gate.store import ALLOWED, Taken
from aitbc_server.gate.store_valkey import ValkeyStore, state_key
from aitbc_server.usage.model import UsageMinuteRow
from aitbc_server.usage.shared_counts import TENANTS_A_CALL, SharedCounts
from aitbc_server.valkey.connection import Connection, connect

LIMITS = limit_set(tenant(limit=1000), "kid", None)


class Node:
    """A node's store and its drain. ``ahead_us``: its clock, for what is over; the store has its own."""

    def __init__(self, connection: Connection, database: Database) -> None:
        self.connection = connection
        self.store = ValkeyStore(lambda: connection, timeout_s=30)
        self.ahead_us = 0
        self.numbers = NodeNumbers()
        self.counts = SharedCounts(self.store, database, self._now_us, self.numbers)
        self._database = database
        self._base_us = 0

    async def start(self) -> None:
        """Get to know the server."""
        await self.store.greet(self.connection)
        seconds, _ = await self.connection.call("TIME")
        self._base_us = int(seconds) * 1_000_000

    def _now_us(self) -> int:
        return self._base_us + self.ahead_us

    async def take(self, tenant_id: str, operation: str = "op", kid: str = "kid000000001") -> None:
        """One request, allowed and counted."""
        fences = {tenant_id: ""}
        while True:
            usage_id = (tenant_id, "live", kid)
            taken = await self.store.take(Question(tenant_id, LIMITS, 1, usage_id, operation, ALLOWED, fences))
            if isinstance(taken, Taken):
                return
            fences = dict(taken.tokens)

    async def stored(self) -> dict[str, int]:
        """What the database has, by tenant."""
        async with self._database.read() as session:
            statement = select(UsageMinuteRow.tenant_id, func.sum(UsageMinuteRow.count)).group_by(
                UsageMinuteRow.tenant_id
            )
            return {tenant_id: int(count) for tenant_id, count in await session.execute(statement)}

    async def calls(self, command: str) -> int:
        """How often a command was called, scripts included."""
        info = (await self.connection.call("INFO", "commandstats")).decode()
        lines = [line for line in info.splitlines() if line.startswith(f"cmdstat_{command}:")]
        return int(lines[0].partition("calls=")[2].partition(",")[0]) if lines else 0


@pytest.fixture
async def nodes(database: Database, valkey: ValkeyProcess) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes on one empty store and one database."""
    connections = [await connect(valkey.address, timeout_s=5) for _ in range(2)]
    await connections[0].call("FLUSHALL")
    first, second = (Node(connection, database) for connection in connections)
    await first.start()
    await second.start()
    try:
        yield first, second
    finally:
        for connection in connections:
            connection.close()
            await connection.lost


async def test_two_nodes_that_drain_the_same_count_it_once(nodes: tuple[Node, Node]) -> None:
    """Goal A4: counts are cumulative, so that whoever stores them, and however often, stores the same."""
    first, second = nodes
    for operation in ("op", "op", "another", "op"):
        await first.take("alice", operation)
    await second.take("alice", kid="kid000000002")
    await first.counts.drain(["alice"])
    await second.counts.drain(["alice"])
    await first.take("alice")
    await second.counts.drain(["alice"])
    await first.counts.drain(["alice"])
    assert await first.stored() == {"alice": 6}


async def test_many_tenants_travel_in_one_call_and_what_is_stored_is_not_written_again(
    nodes: tuple[Node, Node],
) -> None:
    """Neither does a drain write to the store: requests that follow find their tenants as they left them."""
    node, _ = nodes
    tenant_ids = [f"tenant-{number}" for number in range(TENANTS_A_CALL)]
    for tenant_id in tenant_ids:
        await node.take(tenant_id)
    scripts, writes = await node.calls("evalsha"), await node.calls("set")
    await node.counts.drain_round()
    assert await node.calls("evalsha") - scripts == 1
    assert await node.calls("set") == writes
    assert await node.stored() == dict.fromkeys(tenant_ids, 1)
    assert node.numbers.rows_drained == TENANTS_A_CALL
    await node.take("tenant-7")
    assert list(node.store.touched) == ["tenant-7"]
    await node.counts.drain_round()
    assert node.numbers.rows_drained == TENANTS_A_CALL + 1
    assert (await node.stored())["tenant-7"] == 2


async def test_the_store_forgets_a_minute_that_is_over_and_stored(nodes: tuple[Node, Node]) -> None:
    """Also of a tenant that fell silent: its usage must not fill the store for two days."""
    node, _ = nodes
    await node.take("alice")
    await node.take("alice", "another")
    await node.counts.drain_round()
    assert not node.store.touched
    scripts = await node.calls("evalsha")
    await node.counts.drain_round()
    assert await node.calls("evalsha") == scripts
    node.ahead_us = 4 * MINUTE_US
    await node.counts.drain_round()
    assert await node.store.drain({"alice": ()}) == {"alice": []}
    assert await node.connection.call("KEYS", "*:use*") == []
    assert 0 < await node.connection.call("PTTL", state_key("alice")) <= 180_000
    assert await node.stored() == {"alice": 2}


async def test_what_was_counted_after_the_last_look_is_not_forgotten(nodes: tuple[Node, Node]) -> None:
    """A minute that somebody believes to be over goes on: what went up meanwhile is stored first."""
    node, other = nodes
    await node.take("alice")
    await node.counts.drain_round()
    await other.take("alice")
    node.ahead_us = 4 * MINUTE_US
    await node.counts.drain_round()
    assert await node.stored() == {"alice": 2}
    await node.counts.drain_round()
    assert await node.store.drain({"alice": ()}) == {"alice": []}
    assert await node.stored() == {"alice": 2}


async def test_a_drain_that_cannot_store_tries_again(nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is away: the counts stay in the store, and their tenants in line."""
    node, _ = nodes
    await node.take("alice")

    def away() -> None:
        raise OSError("the database is away")

    with monkeypatch.context() as without_database:
        without_database.setattr(node._database, "write", away)
        with pytest.raises(OSError, match="away"):
            await node.counts.drain_round()
    assert list(node.store.touched) == ["alice"]
    await node.counts.drain_round()
    assert await node.stored() == {"alice": 1}


async def test_what_a_node_left_that_died_is_stored_by_another(nodes: tuple[Node, Node]) -> None:
    """Goal A4: whoever starts looks for counts that nobody brought to the database; the tenant may never come again."""
    dead, node = nodes
    await dead.take("alice", kid="kid000000002")
    await dead.take("bob")
    async with node.counts.running(), asyncio.timeout(20):
        # Nobody tells when a round is over.
        while await node.stored() != {"alice": 1, "bob": 1}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
