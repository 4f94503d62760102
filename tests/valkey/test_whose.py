"""A running node and a store that is another installation's: it counts as away, and nothing in it is touched."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from tests.support.valkey import ValkeyProcess, free_port
from tests.support.valkey_groups import ValkeyCluster, ask
from tests.valkey.nodes import INSTALLATION, Keys, Node, until

from aitbc_server.gate import whose
from aitbc_server.gate.store import StoreUnavailableError
from aitbc_server.gate.whose import KEY, SLOT, UntoldError, Whose
from aitbc_server.valkey.connection import Address, Connection, connect
from aitbc_server.valkey.slots import slot_of

OTHERS = "fedcba9876543210"
WRONG_ONE = "it is another installation's"


@asynccontextmanager
async def connected(nodes: Sequence[Node]) -> AsyncIterator[None]:
    """Each has looked at its store once."""
    async with AsyncExitStack() as stack:
        for each in nodes:
            await stack.enter_async_context(each.shared.running())
        yield


@asynccontextmanager
async def way(address: Address) -> AsyncIterator[Connection]:
    """A connection."""
    made = await connect(address, timeout_s=2)
    try:
        yield made
    finally:
        made.close()
        await made.lost


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was told of what is wrong."""
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]


async def test_a_store_of_others_counts_as_away(own_valkey: ValkeyProcess, caplog: pytest.LogCaptureFixture) -> None:
    """The node decides by itself, says why in one line, and takes none of the counts that are there."""
    keys = Keys()
    text = keys.add("alice")
    ours, others = Node(own_valkey.url, keys), Node(own_valkey.url, keys, OTHERS)
    async with connected([ours, others]):
        assert (ours.shared.state, others.shared.state) == ("up", "away")
        for _ in range(3):
            assert await ours.ask(text) is None
            assert await others.ask(text) is None
        assert (await ours.shared_counts("alice"), others.counted_alone("alice")) == ({"allowed": 3}, 3)
        with pytest.raises(StoreUnavailableError):
            await others.shared.store.drain({"alice": ()})
        with pytest.raises(StoreUnavailableError):
            [each async for each in others.shared.store.tenants()]
        assert not await others.shared.raise_fences(["alice"])
    [said] = faults(caplog)
    assert said.startswith(f"Valkey cannot be used, limits are kept by this node alone: {WRONG_ONE}")


async def test_a_store_that_becomes_others_under_a_node_is_left(
    own_valkey: ValkeyProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """Within a second or two, though its connections live; and it is used again when it is ours again."""
    node = Node(own_valkey.url, Keys())
    async with connected([node]):
        ask(own_valkey, "SET", KEY, OTHERS)
        await node.until("away")
        await until(lambda: any(WRONG_ONE in each for each in faults(caplog)))
        ask(own_valkey, "SET", KEY, INSTALLATION)
        await node.until()
    assert sum(WRONG_ONE in each for each in faults(caplog)) == 1


async def test_an_emptied_store_stays_with_those_who_use_it(own_valkey: ValkeyProcess) -> None:
    """They say within a second whose it is, so that nobody else finds it free."""
    node = Node(own_valkey.url, Keys())
    async with connected([node]):
        ask(own_valkey, "FLUSHALL")
        await until(lambda: ask(own_valkey, "GET", KEY) == INSTALLATION.encode())
        assert node.shared.state == "up"


async def test_a_database_that_becomes_others_takes_the_node_from_its_store(own_valkey: ValkeyProcess) -> None:
    """What is counted there is not for that database."""
    node = Node(own_valkey.url, Keys())
    async with connected([node]):
        node.installation = OTHERS
        await node.shared.ensure_ours()
        await node.until("away")
        node.installation = INSTALLATION
        await node.shared.ensure_ours()
        await node.until()


async def test_a_store_that_does_not_say_whose_it_is_is_kept(own_valkey: ValkeyProcess) -> None:
    """It hangs, or refuses: that it is away is noticed elsewhere."""
    node = Node(own_valkey.url, Keys())
    async with connected([node]):
        ask(own_valkey, "DEL", KEY)
        ask(own_valkey, "RPUSH", KEY, "no", "text")
        assert await node.shared._way.is_ours()
        node.shared._way.store.hung.set()  # type: ignore[union-attr]
        assert await node.shared._way.is_ours()
        ask(own_valkey, "DEL", KEY)
        await node.until()
    assert await node.shared._way.is_ours()
    node.shared._way.disconnect()


async def test_a_cluster_is_one_installations_whichever_of_its_servers_is_asked(cluster: ValkeyCluster) -> None:
    """Its tenants are on all masters, and the key is on one of them."""
    ours, others = Node(cluster.url, Keys()), Node(cluster.url, Keys(), OTHERS)
    async with connected([ours, others]):
        assert (ours.shared.state, others.shared.state) == ("up", "away")
        for master in cluster.masters:
            async with way(master.address) as connection:
                assert await whose.owner(connection, master.address) == INSTALLATION
        ask(cluster.owner(SLOT), "SET", KEY, OTHERS)
        await ours.until("away")
        ask(cluster.owner(SLOT), "SET", KEY, INSTALLATION)
        await ours.until()


async def test_a_master_that_is_away_keeps_nobody_from_the_others_who_knew_the_cluster(cluster: ValkeyCluster) -> None:
    """Only who has never heard whose it is waits until it can be told."""
    knows, new = Whose(), Whose()
    knows.installation_id = new.installation_id = INSTALLATION
    holder = cluster.owner(SLOT)
    other = next(each for each in cluster.servers[1:3] if each is not holder)
    async with way(other.address) as connection:
        await knows.ensure_ours(connection, other.address)
        holder.kill()
        await knows.ensure_ours(connection, other.address)
        with pytest.raises(UntoldError, match="whose it is cannot be told"):
            await new.ensure_ours(connection, other.address)


async def test_a_key_that_is_on_its_way_is_found(cluster: ValkeyCluster) -> None:
    """Where it was, where it is going to, and for nobody yet."""
    source = cluster.owner(SLOT)
    target = next(each for each in cluster.masters if each is not source)
    async with way(source.address) as connection:
        await whose.claim(connection, source.address, INSTALLATION)
        cluster.begin_move(SLOT, source, target)
        assert await whose.owner(connection, source.address) == INSTALLATION
        cluster.move_keys(SLOT, source, target)
        assert await whose.owner(connection, source.address) == INSTALLATION
        assert await whose.claim(connection, source.address, OTHERS) == INSTALLATION
        cluster.end_move(SLOT, source, target)
        assert await whose.owner(connection, source.address) == INSTALLATION
    cluster.begin_move(SLOT, target, source)
    cluster.move_keys(SLOT, target, source)
    cluster.end_move(SLOT, target, source)


async def test_a_cluster_without_the_slot_cannot_tell(tmp_path: Path) -> None:
    """That is no answer of nobody's: who comes then does not take it for free."""
    server = ValkeyProcess(tmp_path, "--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    try:
        async with way(server.address) as connection:
            with pytest.raises(UntoldError, match="CLUSTERDOWN"):
                await whose.owner(connection, server.address)
    finally:
        server.close()


def test_the_key_is_no_tenants() -> None:
    """The list of all tenants does not have it, and none has a key of this name."""
    assert "{" not in KEY
    assert slot_of(KEY) == SLOT
