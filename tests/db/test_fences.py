"""The fence outbox between a server and a process beside it, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from sqlalchemy import text

from aitbc_server.db import outbox
from aitbc_server.db.draining import OutboxDrainer
from aitbc_server.db.engine import Database
from aitbc_server.db.outside_fences import OutsideFences, Unconfirmed, Waiting
from aitbc_server.db.unit_of_work import UnitsOfWork


class Server:
    """A server that drops what it drains, and may be away."""

    def __init__(self, database: Database, *, runs: bool) -> None:
        self.runs = runs
        self.now_us = 1_760_000_000_000_000
        self.dropped: list[set[str]] = []
        self.drainer = OutboxDrainer(database, lambda tenant_ids: self.dropped.append(set(tenant_ids)), self.clock)

    def clock(self) -> int:
        """Its time."""
        return self.now_us

    async def is_there(self) -> bool:
        """Whether it runs."""
        return self.runs


async def change(database: Database, fences: OutsideFences, *tenant_ids: str) -> bool:
    """A change beside the server that makes these tenants stale; whether it was confirmed."""
    async with UnitsOfWork(database, fences, lambda: 0).begin() as unit:
        unit.makes_stale(*tenant_ids)
        return await unit.commit()


async def pending(database: Database) -> list[str]:
    """The tenants in the outbox."""
    return [row.tenant_id for row in await database.ask(outbox.PENDING, {"after": 0})]


async def test_a_change_waits_until_the_server_has_dropped_its_records(database: Database) -> None:
    """The command returns after the drop, never before (ASVS 8.3.2)."""
    server = Server(database, runs=True)
    fences = OutsideFences(database, server.is_there)
    changing = asyncio.create_task(change(database, fences, "acme", "other"))
    await asyncio.sleep(0.3)
    assert not changing.done()
    assert await pending(database) == ["acme", "other"]
    await server.drainer.drain()
    assert server.dropped == [{"acme", "other"}]
    assert await changing
    assert await pending(database) == []


async def test_without_a_server_nothing_is_left_to_drain(database: Database) -> None:
    """No server holds records: the change is in effect as it is committed."""
    fences = OutsideFences(database, Server(database, runs=False).is_there)
    assert await change(database, fences, "acme")
    assert await pending(database) == []


async def test_a_server_that_hangs_is_said_and_drains_later(database: Database) -> None:
    """After the time limit the change counts as unconfirmed; its row stays for the server to find."""
    server = Server(database, runs=True)
    fences = OutsideFences(database, server.is_there, timeout_s=0.2)
    assert not await change(database, fences, "acme")
    assert fences.unconfirmed == Unconfirmed(Waiting.SERVER)
    assert await pending(database) == ["acme"]
    await server.drainer.drain()
    assert (server.dropped, await pending(database)) == ([{"acme"}], [])


async def test_a_server_that_ends_meanwhile_is_not_waited_for(database: Database) -> None:
    """It dies without draining: the command cleans up and returns."""
    server = Server(database, runs=True)
    changing = asyncio.create_task(change(database, OutsideFences(database, server.is_there), "acme"))
    await asyncio.sleep(0.2)
    server.runs = False
    assert await changing
    assert await pending(database) == []


async def test_an_empty_outbox_costs_no_drop(database: Database) -> None:
    """Draining nothing drops nothing."""
    server = Server(database, runs=True)
    await server.drainer.drain()
    assert server.dropped == []


async def test_every_node_reads_of_a_change_once(database: Database) -> None:
    """Also of one that another node has drained: no record outlives its change by more than a second. ASVS 8.3.2."""
    first, second = Server(database, runs=True), Server(database, runs=True)
    fences = OutsideFences(database, first.is_there, timeout_s=0.01)
    await change(database, fences, "acme")
    await first.drainer.drain()
    await second.drainer.drain()
    await second.drainer.drain()
    assert first.dropped == second.dropped == [{"acme"}]


async def test_what_is_drained_is_forgotten_after_a_while(database: Database) -> None:
    """The feed holds a minute, not everything that ever was."""
    server = Server(database, runs=True)
    await change(database, OutsideFences(database, server.is_there, timeout_s=0.01), "acme")
    await server.drainer.drain()
    server.now_us += 61_000_000
    await server.drainer.drain()
    assert await database.ask(outbox.LATER, {"after": 0}) == []


async def test_a_store_that_cannot_be_told_leaves_the_rows(database: Database) -> None:
    """A crash between commit and fence, or a store that is away: the next round finds them again."""
    raised: list[set[str]] = []

    async def raise_fences(tenant_ids: Iterable[str]) -> None:
        raised.append(set(tenant_ids))
        if len(raised) == 1:
            raise TimeoutError

    server = Server(database, runs=True)
    await change(database, OutsideFences(database, server.is_there, timeout_s=0.01), "acme")
    drainer = OutboxDrainer(database, lambda tenant_ids: None, server.clock, raise_fences)
    with pytest.raises(TimeoutError):
        await drainer.drain()
    assert await pending(database) == ["acme"]
    await drainer.drain()
    assert (raised, await pending(database)) == ([{"acme"}, {"acme"}], [])


async def test_a_change_that_commits_late_is_not_missed(postgres_url: str) -> None:
    """It took its place in the outbox before another one and commits after it; another node is first to see it, and has
    drained it before this one looks again.
    """
    database = Database(postgres_url)
    first, second = Server(database, runs=True), Server(database, runs=True)
    async with database.write() as slow:
        await outbox.append(slow, ["slow"])
        await append(database, "quick")
        await first.drainer.drain()
        await second.drainer.drain()
        await slow.commit()
    await first.drainer.drain()
    assert await pending(database) == []
    await second.drainer.drain()
    assert first.dropped == second.dropped == [{"quick"}, {"slow"}]
    await database.close()


async def test_a_large_change_that_commits_late_is_not_missed_either(postgres_url: str) -> None:
    """Its many places are looked through a portion at a time."""
    database = Database(postgres_url)
    server = Server(database, runs=True)
    many = {f"tenant-{number:05}" for number in range(2 * outbox.PORTION + 1)}
    async with database.write() as slow:
        await outbox.append(slow, many)
        await append(database, "quick")
        await server.drainer.drain()
        await slow.commit()
    await server.drainer.drain()
    assert server.dropped[0] == {"quick"}
    assert sorted(each for dropped in server.dropped[1:] for each in dropped) == sorted(many)
    await database.close()


async def test_an_outbox_that_was_put_back_is_read_from_its_beginning(database: Database) -> None:
    """A restored database gives ids out once more that a node has read before."""
    first, second = Server(database, runs=True), Server(database, runs=True)
    for tenant_id in ("acme", "globex"):
        await append(database, tenant_id)
    for server in (first, second):
        await server.drainer.drain()
    async with database.write() as session:
        await session.execute(text("DELETE FROM fence_outbox"))
        # The one of SQLite, and the one of PostgreSQL.
        restarted = "UPDATE sqlite_sequence SET seq = 0" if database.is_sqlite else _RESTARTED
        await session.execute(text(restarted))
        await session.commit()
    await append(database, "initech")
    for server in (first, second):
        await server.drainer.drain()
        assert server.dropped == [{"acme", "globex"}, {"initech"}]


_RESTARTED = "ALTER SEQUENCE fence_outbox_id_seq RESTART"


async def append(database: Database, tenant_id: str) -> None:
    """A change, committed by somebody else."""
    async with database.write() as session:
        await outbox.append(session, [tenant_id])
        await session.commit()
