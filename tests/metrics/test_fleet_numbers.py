"""What a node of a fleet counts for its operator: the requests that it let through, whoever counts their usage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.gate.factories import ANY, key
from tests.gate.test_shared_gate import Database, Node, node
from tests.support.valkey import ValkeyProcess

from aitbc_server.errors import Code
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.numbers import CountedSource, NodeNumbers
from aitbc_server.gate.store import StoreUnavailableError


@pytest.fixture
def database() -> Database:
    """One key."""
    database = Database()
    database.credentials[b"a right secret"] = Credential(key())
    return database


@pytest.fixture
async def counted(valkey: ValkeyProcess, database: Database) -> AsyncIterator[tuple[Node, NodeNumbers]]:
    """A node whose numbers are read."""
    numbers = NodeNumbers()
    async with node(valkey, database, numbers=numbers) as made:
        assert made.connection is not None
        await made.connection.call("FLUSHALL")
        yield made, numbers


async def test_late_answers_are_counted_once(
    counted: tuple[Node, NodeNumbers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each allowed request is in one of two places, also when the store had counted what the node decided alone."""
    first, numbers = counted
    assert [await first.code() for _ in range(3)] == [None] * 3
    assert (numbers.allowed[ANY.id], numbers.alone, numbers.late) == (3, 0, 0)
    for was_counted in (True, False):
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def too_late(*_: Any, told: asyncio.Future[bool] = told, **__: Any) -> Any:
            raise StoreUnavailableError("it did not answer in time", told)

        with monkeypatch.context() as patched:
            patched.setattr(first.store, "take", too_late)
            assert await first.code() is None
        told.set_result(was_counted)
        await asyncio.sleep(0)
    assert (numbers.alone, numbers.late) == (2, 1)
    assert numbers.allowed[ANY.id] + first.counter.allowed()[ANY.id] == 5


async def test_a_refusal_that_the_store_counted_late_lets_nobody_through(
    counted: tuple[Node, NodeNumbers], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is late, and allows nothing."""
    first, numbers = counted
    told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def too_late(*_: Any, **__: Any) -> Any:
        raise StoreUnavailableError("it did not answer in time", told)

    monkeypatch.setattr(first.store, "take", too_late)
    database.credentials[b"a right secret"] = Credential(key(revoked=True))
    assert await first.code() is Code.REVOKED_API_KEY
    told.set_result(True)
    await asyncio.sleep(0)
    assert (numbers.alone, numbers.late, sum(numbers.allowed.values())) == (1, 1, 0)


async def test_keys_that_are_read_are_counted(database: Database) -> None:
    """One by one and many at once."""
    numbers = NodeNumbers()
    source = CountedSource(database, numbers)
    assert source.may_exist(b"a right secret")
    assert await source.load(b"a right secret") is not None
    assert len(await source.load_all([b"a right secret", b"another"])) == 2
    assert numbers.keys_read == 3
