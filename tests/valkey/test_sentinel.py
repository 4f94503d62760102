"""Behind Sentinels: a node finds the master, and finds it again when another one takes over."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from uuid import uuid4

import pytest
from tests.support.valkey_groups import Watched, ask
from tests.support.valkey_groups import until as until_so
from tests.valkey.nodes import MOST_S, Keys, Load, nodes, until

from aitbc_server.errors import Code
from aitbc_server.gate.store_valkey import TIMEOUT_S
from aitbc_server.valkey import urls
from aitbc_server.valkey.connection import ConnectionLostError
from aitbc_server.valkey.sentinel import Sentinels


def fresh(name: str) -> str:
    """A tenant that no other test has."""
    return f"{name}-{uuid4().hex[:8]}"


async def allowed(made: list, text: bytes, count: int) -> int:  # type: ignore[type-arg]
    """How many of so many requests pass, on all nodes in turn."""
    codes = [await made[number % len(made)].ask(text) for number in range(count)]
    assert set(codes) <= {None, Code.RATE_LIMIT_EXCEEDED}
    return codes.count(None)


async def test_a_master_that_is_killed_under_load_costs_no_request(watched: Watched) -> None:
    """No error and no wait; exact again after it; a key that was revoked before it stays so. Goals A5 and A6."""
    keys = Keys()
    busy, gone, strict = keys.add(fresh("busy")), keys.add(fresh("gone")), keys.add(fresh("strict"), limit=20)
    async with nodes(watched.url, keys) as made:
        assert [await each.ask(gone) for each in made] == [None, None]
        async with Load(made, [busy]) as load:
            await load.asked(20)
            keys.revoke(gone)
            assert await made[0].shared.raise_fences([gone.decode()])
            assert await made[1].ask(gone) is Code.REVOKED_API_KEY
            watched.master().kill()
            refused = [await made[number % 2].ask(gone) for number in range(40)]
            for each in made:
                await each.until("away")
            await asyncio.to_thread(until_so, watched.is_led, "a failover")
            for each in made:
                await each.until("up")
            await load.asked(20)
        assert set(load.codes[busy]) == {None}
        assert max(each.slowest_s for each in made) < MOST_S
        assert set(refused) == {Code.REVOKED_API_KEY}
        assert [await each.ask(gone) for each in made] == [Code.REVOKED_API_KEY] * 2
        assert await allowed(made, strict, 30) == 20


async def test_a_master_that_hands_over_is_left(watched: Watched) -> None:
    """It lives on as a replica: nobody goes on asking it."""
    keys = Keys()
    busy = keys.add(fresh("busy"))
    async with nodes(watched.url, keys) as made:
        async with Load(made, [busy]) as load:
            await load.asked(20)
            before = watched.master()
            watched.hand_over()
            await until(lambda: watched.master() is not before)
            began_s = monotonic()
            await until(lambda: b"name=aitbc" not in watched.ask(before, "CLIENT", "LIST"))
            assert monotonic() - began_s < 1
            await until(lambda: all(each.shared.state == "up" for each in made))
            await load.asked(50)
        assert set(load.codes[busy]) == {None}
        assert max(each.slowest_s for each in made) < MOST_S
        strict = keys.add(fresh("strict"), limit=10)
        assert await allowed(made, strict, 15) == 10
        assert sum((await made[0].shared_counts(strict.decode())).values()) == 15


async def test_a_master_that_was_replaced_while_it_hung_is_not_believed(watched: Watched) -> None:
    """It goes on with old tokens and thinks that it is the master: nodes are with the new one by then."""
    keys = Keys()
    busy = keys.add(fresh("busy"))
    async with nodes(watched.url, keys) as made:
        assert await made[0].ask(busy) is None
        before = watched.master()
        before.hang()
        began_s = monotonic()
        assert [await each.ask(busy) for each in made] == [None, None]
        assert monotonic() - began_s < 2 * MOST_S
        await until(lambda: watched.master() is not before)
        await until(lambda: all(each.shared.state == "up" for each in made))
        keys.revoke(busy)
        raised = await made[0].shared.raise_fences([busy.decode()])
        before.go_on()
        assert raised
        assert [await each.ask(busy) for each in made] == [Code.REVOKED_API_KEY] * 2


async def test_some_sentinels_are_enough(watched: Watched) -> None:
    """One that is gone and one that hangs are no harm."""
    target = urls.parse(watched.url.replace("sentinel://", f"sentinel://127.0.0.1:{1},"))
    sentinels = Sentinels(target, timeout_s=TIMEOUT_S)
    watched.sentinels[0].hang()
    try:
        assert (await sentinels.master()).port == watched.master_port()
        assert (await sentinels.master()).port == watched.master_port()
    finally:
        watched.sentinels[0].go_on()
        sentinels.close()


async def test_a_name_that_no_sentinel_knows_is_said(watched: Watched) -> None:
    """Whoever mistyped it reads which one."""
    sentinels = Sentinels(urls.parse(watched.url.replace("/store", "/shop")), timeout_s=TIMEOUT_S)
    with pytest.raises(ConnectionLostError, match="no sentinel knows a master named shop: ERR No such master"):
        await sentinels.master()
    sentinels.close()


async def test_a_replica_is_not_taken_for_the_master(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """An address that leads to a replica is no store; the log says why."""
    [replica] = [each for each in watched.servers if each is not watched.master()]
    keys = Keys()
    text = keys.add(fresh("acme"))
    with caplog.at_level(logging.ERROR), pytest.raises(TimeoutError):
        async with nodes(replica.url, keys, 1, ready_s=0.5):
            pass
    assert "READONLY the server is a replica" in caplog.text
    assert ask(replica, "GET", f"aitbc:1:{{{text.decode()}}}") is None


async def test_nobody_waits_behind_a_change_that_waits_for_replicas(watched: Watched) -> None:
    """The change is not confirmed; requests are decided by the store meanwhile."""
    [replica] = [each for each in watched.servers if each is not watched.master()]
    keys = Keys()
    text = keys.add(fresh("acme"))
    async with nodes(watched.url, keys, 1) as [node]:
        assert await node.ask(text) is None
        replica.hang()
        try:
            changing = asyncio.create_task(node.shared.raise_fences([text.decode()]))
            asked = 0
            while not changing.done():
                assert await node.ask(text) is None
                asked += 1
        finally:
            replica.go_on()
        assert not await changing
        assert asked > 10
        assert node.counted_alone(text.decode()) == 0
        assert await node.shared_counts(text.decode()) == {"allowed": asked + 1}
