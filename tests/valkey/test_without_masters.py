"""What a node does in the moments in which a server is gone, or no server has a slot."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import pytest
from tests.gate.factories import tenant
from tests.support.valkey import ValkeyProcess, free_port
from tests.valkey.nodes import anybodys, until

from aitbc_server.gate import shard
from aitbc_server.gate.batch import Batch, Waiting
from aitbc_server.gate.records import limit_set
from aitbc_server.gate.shard import Shard
from aitbc_server.gate.shared_store import Question
from aitbc_server.gate.store import StoreUnavailableError
from aitbc_server.gate.store_cluster import ClusterStore, Member, tenant_slot
from aitbc_server.valkey.connection import Address, Connection, RefusedError
from aitbc_server.valkey.probe import until_it_answers

LIMITS = limit_set(tenant("alice", limit=5), "kid", None)


def a_member(store: ClusterStore) -> Member:
    return store._member(Address(port=free_port()))


def a_batch() -> tuple[Batch, asyncio.Future[Any]]:
    batch = Batch(tenant_slot("alice"), monotonic() + 1)
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def tell(answer: object) -> None:
        assert isinstance(answer, StoreUnavailableError)
        future.set_exception(answer)

    batch.waiting.append(Waiting(tell, (), 1))
    return batch, future


async def test_without_a_master_nothing_is_decided(nowhere: ClusterStore) -> None:
    """Each request hears it at once, and goes on by itself."""
    with pytest.raises(StoreUnavailableError, match="no master is known"):
        await nowhere.take(Question("alice", LIMITS, 1, ("alice", "live", "kid"), "things.any", "allowed", {}))
    with pytest.raises(StoreUnavailableError, match="no master is known"):
        await nowhere.look("alice", LIMITS)


async def test_a_batch_whose_slot_has_no_master_any_more_is_given_back(nowhere: ClusterStore) -> None:
    """It was to be tried again, and meanwhile nobody has the slot."""
    batch, future = a_batch()
    assert nowhere._reroute(a_member(nowhere), batch, RefusedError("TRYAGAIN Multiple keys request"))
    with pytest.raises(StoreUnavailableError, match="no master is known"):
        await asyncio.wait_for(future, 1)


async def test_a_server_that_was_never_started_can_be_left() -> None:
    """A stop comes whenever it likes."""

    async def find() -> Address:
        return Address(port=free_port())

    await Shard(find, lambda: None, ensure_ours=anybodys).stop()


async def test_a_hung_server_whose_connection_ends_is_not_waited_for(
    valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it was asked whether it answers, or before: in both cases the way to it is looked after elsewhere."""

    async def find() -> Address:
        return valkey.address

    said: list[bool] = []

    async def lost(connection: Connection, *, timeout_s: float) -> bool:
        connection.close()
        said.append(await until_it_answers(connection, timeout_s=timeout_s))
        return said[-1]

    monkeypatch.setattr(shard, "until_it_answers", lost)
    made = Shard(find, lambda: None, ensure_ours=anybodys)
    assert await made.start()
    try:
        first = made.connection
        for connection in (None, first):
            made._link.connection = connection
            made.store.hung.set()
            await until(lambda: not made.store.hung.is_set(), 5)
        assert said == [False]
    finally:
        await made.stop()
