"""One Valkey, one installation: whoever comes first, and nobody else until it is emptied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.valkey import ValkeyProcess

from aitbc_server.gate import whose
from aitbc_server.gate.whose import KEY, OtherInstallationError, Whose
from aitbc_server.valkey.connection import Connection, connect

OURS, OTHERS = "a1" * 16, "b2" * 16


def one(installation_id: str) -> Whose:
    """What a node of this installation knows at its start."""
    made = Whose()
    made.installation_id = installation_id
    return made


@pytest.fixture
async def connection(own_valkey: ValkeyProcess) -> AsyncIterator[Connection]:
    """A way to a server that is nobody's."""
    made = await connect(own_valkey.address, timeout_s=5)
    yield made
    made.close()
    await made.lost


async def test_a_store_is_theirs_who_come_first(connection: Connection, own_valkey: ValkeyProcess) -> None:
    """All nodes of one installation may use it; another one is told so, with enough to find out which."""
    at = own_valkey.address
    assert await whose.owner(connection, at) is None
    for _ in range(2):
        await one(OURS).ensure_ours(connection, at)
    with pytest.raises(OtherInstallationError, match=r"another installation's \(a1a1a1a1; this one is b2b2b2b2\)"):
        await one(OTHERS).ensure_ours(connection, at)
    assert await whose.owner(connection, at) == OURS


async def test_of_two_that_come_at_once_one_is_first(connection: Connection, own_valkey: ValkeyProcess) -> None:
    """Both read the same afterwards."""
    at = own_valkey.address
    ids = [f"{number:032}" for number in range(20)]
    found = await asyncio.gather(*(whose.claim(connection, at, each) for each in ids))
    assert set(found) == {ids[0]}


async def test_who_was_refused_does_not_take_it_when_it_is_emptied(
    connection: Connection, own_valkey: ValkeyProcess
) -> None:
    """A server that restarts without its data stays with those whose it was; who starts anew may have it."""
    at = own_valkey.address
    refused = one(OTHERS)
    await one(OURS).ensure_ours(connection, at)
    with pytest.raises(OtherInstallationError):
        await refused.ensure_ours(connection, at)
    await connection.call("DEL", KEY)
    with pytest.raises(OtherInstallationError, match="start the server again to use it"):
        await refused.ensure_ours(connection, at)
    assert await whose.owner(connection, at) is None
    await one(OTHERS).ensure_ours(connection, at)
    await refused.ensure_ours(connection, at)


async def test_a_node_whose_database_is_another_ones_begins_anew(
    connection: Connection, own_valkey: ValkeyProcess
) -> None:
    """What it knew of the store, it knew for the installation before."""
    at = own_valkey.address
    node = one(OURS)
    await node.ensure_ours(connection, at)
    node.installation_id = OTHERS
    with pytest.raises(OtherInstallationError):
        await node.ensure_ours(connection, at)
    node.installation_id = OTHERS
    await connection.call("DEL", KEY)
    with pytest.raises(OtherInstallationError):
        await node.ensure_ours(connection, at)
    node.installation_id = OURS
    await node.ensure_ours(connection, at)
    assert node.installation_id == OURS


async def test_a_store_goes_over_with_its_installation_and_with_no_other(
    connection: Connection, own_valkey: ValkeyProcess
) -> None:
    """An empty database that was served before data is imported had an id of its own."""
    at = own_valkey.address
    await whose.hand_over(connection, at, OURS, OTHERS)
    assert await whose.owner(connection, at) is None
    await whose.claim(connection, at, OURS)
    await whose.hand_over(connection, at, OTHERS, "c3")
    assert await whose.owner(connection, at) == OURS
    await whose.hand_over(connection, at, OURS, OTHERS)
    assert await whose.owner(connection, at) == OTHERS
