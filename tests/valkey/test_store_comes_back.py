"""A store that comes back with what it knew before, or with nothing: no node believes what it believed under it."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.valkey import ValkeyProcess
from tests.support.valkey_groups import ValkeyCluster, ask
from tests.valkey.nodes import Keys, Node, another_connection, nodes, until

from aitbc_server.errors import Code
from aitbc_server.gate.shard import Shard
from aitbc_server.gate.store_cluster import tenant_slot
from aitbc_server.gate.store_valkey import state_key


def token(server: ValkeyProcess, tenant_id: str) -> bytes:
    """The tenant's fence, as the store has it."""
    found: bytes = ask(server, "GETRANGE", state_key(tenant_id), 0, 15)
    return found


async def restart(server: ValkeyProcess, made: list[Node]) -> None:
    """Kill it, so that every node notices, and start it again with what it has on disk."""
    server.kill()
    for each in made:
        await each.until("away")
    await asyncio.to_thread(server.start)
    for each in made:
        await each.until("up")


async def all_say(made: list[Node], text: bytes) -> set[Code | None]:
    """What the nodes answer, all of them by the store."""
    before = sum(each.counted_alone(text.decode()) for each in made)
    said = {await each.ask(text) for each in made}
    assert sum(each.counted_alone(text.decode()) for each in made) == before, "a node decided by itself"
    return said


@pytest.mark.parametrize("is_saved", [True, False], ids=["older", "empty"])
async def test_a_store_that_was_restarted_is_not_believed(own_valkey: ValkeyProcess, is_saved: bool) -> None:
    """It has lost a fence that was set: with the token that nodes have of the key's tenant, or with none at all. Nobody
    drains an outbox here: the connection is a new one, and that is enough. ASVS 8.3.2."""
    keys = Keys()
    text = keys.add("acme")
    async with nodes(own_valkey.url, keys, 3) as [*asking, changing]:
        assert await all_say(asking, text) == {None}
        if is_saved:
            assert ask(own_valkey, "SAVE") == b"OK"
        known = token(own_valkey, "acme")
        keys.revoke(text)
        assert await changing.shared.raise_fences(["acme"])
        assert token(own_valkey, "acme") != known
        await restart(own_valkey, [*asking, changing])
        assert token(own_valkey, "acme") == (known if is_saved else b"")
        assert await all_say(asking, text) == {Code.REVOKED_API_KEY}


async def test_a_question_is_not_sent_on_a_connection_that_came_after_it(own_valkey: ValkeyProcess) -> None:
    """What it rests on was known under another one. Nobody sets a fence here: a store that comes back as it was before
    has the one that the node knows."""
    keys = Keys()
    text = keys.add("acme")
    async with nodes(own_valkey.url, keys, 1) as [node]:
        assert await all_say([node], text) == {None}
        keys.revoke(text)
        way = node.shared._way
        assert isinstance(way, Shard)
        # Requests are asked about in two ways in turn.
        for _ in range(2):
            async with another_connection(way, own_valkey.address, as_it_sends=way):
                assert await all_say([node], text) == {Code.REVOKED_API_KEY}


async def test_a_master_of_a_cluster_that_was_restarted_is_not_believed(cluster: ValkeyCluster) -> None:
    """The same for the tenants of its slots."""
    server = cluster.masters[1]
    tenant_id = next(f"t-{n}" for n in range(1000) if tenant_slot(f"t-{n}") in cluster.slots(server))
    keys = Keys()
    text = keys.add(tenant_id)
    async with nodes(cluster.url, keys, 2) as made:
        assert await all_say(made, text) == {None}
        known = token(server, tenant_id)
        assert ask(server, "SAVE") == b"OK"
        keys.revoke(text)
        assert await made[0].shared.raise_fences([tenant_id])
        await restart(server, made)
        # At first it says that its cluster is down.
        await until(lambda: token(server, tenant_id) == known)
        assert await all_say(made, text) == {Code.REVOKED_API_KEY}
    (server.folder / "dump.rdb").unlink()


@pytest.mark.parametrize("is_raised", [True, False], ids=["after the fence", "before the fence"])
async def test_a_store_that_was_emptied_is_not_believed(own_valkey: ValkeyProcess, is_raised: bool) -> None:
    """Connections live on, so nothing but the missing token tells; it is never taken for the one that nodes have."""
    keys = Keys()
    text = keys.add("acme")
    async with nodes(own_valkey.url, keys) as made:
        connections = [each.shared._way.connection for each in made]  # type: ignore[union-attr]
        assert await all_say(made, text) == {None}
        keys.revoke(text)
        if is_raised:
            assert await made[0].shared.raise_fences(["acme"])
        assert ask(own_valkey, "FLUSHALL") == b"OK"
        assert await all_say(made, text) == {Code.REVOKED_API_KEY}
        assert [each.shared._way.connection for each in made] == connections  # type: ignore[union-attr]
