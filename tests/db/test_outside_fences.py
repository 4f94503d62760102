"""How an operator's command beside a fleet knows whether its change is in effect, on both databases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from tests.db.test_fences import append, change, pending

from aitbc_server.clock import system_clock
from aitbc_server.db import outbox
from aitbc_server.db.draining import finish
from aitbc_server.db.engine import Database
from aitbc_server.db.outside_fences import OutsideFences, Unconfirmed, Waiting
from aitbc_server.gate.store import StoreUnavailableError

AWAY = Unconfirmed(Waiting.STORE, "it is away")


class Store:
    """The store that a fleet shares, as the command reaches it."""

    def __init__(self, *, away: bool) -> None:
        self.away = away
        self.raised: list[set[str]] = []

    async def raise_fences(self, tenant_ids: Iterable[str]) -> None:
        """Take new fences, or do not."""
        if self.away:
            raise StoreUnavailableError("it is away")
        self.raised.append(set(tenant_ids))


async def no_matter() -> bool:
    """Nobody asks whether nodes run: one that was forgotten may stand on another database."""
    raise AssertionError


def fences_of(database: Database, store: Store, timeout_s: float = 10.0) -> OutsideFences:
    """A command's."""
    return OutsideFences(database, no_matter, store.raise_fences, timeout_s=timeout_s)


async def test_a_command_tells_the_store_itself_and_leaves_nothing_to_do(database: Database) -> None:
    """Whether nodes run or not; what others left half done is finished too."""
    store = Store(away=False)
    fences = fences_of(database, store)
    await append(database, "left")
    assert await change(database, fences, "acme")
    assert (store.raised, fences.unconfirmed, await pending(database)) == ([{"left", "acme"}], None, [])


async def test_a_store_that_comes_back_in_time_is_waited_for(database: Database) -> None:
    """Each command returns when its change is in effect (design 9)."""
    store = Store(away=True)
    fences = fences_of(database, store)
    changing = asyncio.create_task(change(database, fences, "acme"))
    await asyncio.sleep(0.3)
    assert not changing.done()
    store.away = False
    assert await changing
    assert (store.raised, fences.unconfirmed) == ([{"acme"}], None)


async def test_what_a_node_could_tell_the_store_is_confirmed_too(database: Database) -> None:
    """The way from here to the store is broken, and a node's is not: it drains the outbox."""
    fences, nodes = fences_of(database, Store(away=True)), Store(away=False)
    changing = asyncio.create_task(change(database, fences, "acme"))
    while not await pending(database):  # noqa: ASYNC110 - rows ring no bell
        await asyncio.sleep(0.01)
    await finish(database, system_clock, lambda rows: nodes.raise_fences(row.tenant_id for row in rows))
    assert await changing
    assert fences.unconfirmed is None


async def test_a_store_that_stays_away_is_said_and_waited_for_once(database: Database) -> None:
    """A command of many changes does not wait for each; a later one that is confirmed confirms those before it."""
    store = Store(away=True)
    fences = fences_of(database, store, timeout_s=0.3)
    assert not await change(database, fences, "acme")
    assert fences.unconfirmed == AWAY
    begun_s = time.monotonic()
    for _ in range(3):
        assert not await change(database, fences, "globex")
    assert time.monotonic() - begun_s < 0.9
    assert fences.unconfirmed == AWAY
    store.away = False
    assert await change(database, fences, "initech")
    assert store.raised == [{"acme", "globex", "initech"}]
    assert not fences.unconfirmed


async def test_a_look_that_does_not_end_is_ended(database: Database) -> None:
    """A store that takes its time with every portion, or a database that hangs, holds no command for ever."""

    async def hang(_: Iterable[str]) -> None:
        await asyncio.sleep(60)

    fences = OutsideFences(database, no_matter, hang, timeout_s=0.2)
    assert not await change(database, fences, "acme")
    assert fences.unconfirmed is not None
    assert await pending(database) == ["acme"]


async def test_a_change_of_many_is_waited_for_as_long_as_it_goes_on(database: Database) -> None:
    """Ten seconds are for somebody who does not answer, and not for all that there is to tell."""

    async def slowly(_: Iterable[str]) -> None:
        await asyncio.sleep(0.3)

    fences = OutsideFences(database, no_matter, slowly, timeout_s=0.5)
    async with database.write() as session:
        await outbox.append(session, (f"tenant-{number}" for number in range(3 * outbox.PORTION)))
        await session.commit()
    assert await change(database, fences, "acme")
    assert await pending(database) == []
