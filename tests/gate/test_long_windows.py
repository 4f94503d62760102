"""Windows of many entries against the oracle: kept in pieces, none is lost and none kept too long (A1)."""

from __future__ import annotations

import random

import pytest
from tests.gate.factories import tenant
from tests.gate.oracle import WINDOW_US, Oracle
from tests.gate.stores_under_test import StoreUnderTest, seen
from tests.gate.valkey_under_test import valkey_under_test
from tests.support.valkey import ValkeyProcess

from aitbc_server.gate.records import limit_set
from aitbc_server.gate.store import ALLOWED
from aitbc_server.valkey.connection import connect

CHECKS = 1_500


@pytest.mark.parametrize("seed", range(2))
async def test_windows_of_many_entries_agree_with_the_oracle(tested: StoreUnderTest, seed: int) -> None:
    """The plan's window and a key's own fill, overflow, empty in part and as a whole, and their limits change."""
    chance, oracle = random.Random(seed), Oracle()
    plan, own = 120, 90
    allowed = refused = 0
    for _ in range(CHECKS):
        die = chance.random()
        # Most of the time too fast for the limits, so that they are reached; now and then a pause.
        tested.clock.now_us += chance.randrange(900_000) if die < 0.98 else chance.randrange(2 * WINDOW_US)
        if die < 0.01:
            plan, own = chance.choice((20, 60, 120, 200)), chance.choice((10, 40, 90))
        limits = limit_set(tenant("alice", plan), "kid", own if chance.random() < 0.8 else None)
        cost = chance.choice((1, 1, 1, 1, 0, 2, 5))
        judged = oracle.take(
            tested.clock.now_us,
            [(limit.tenant_id or "alice", limit.window, limit.limit) for limit in limits.limits],
            cost,
        )
        taken = await tested.store.take("alice", limits, cost, ("alice", "live", "kid"), "op", ALLOWED)
        assert seen(taken) == judged
        allowed, refused = allowed + judged.allowed, refused + (not judged.allowed)
        if chance.random() < 0.02:
            level = (await tested.store.look("alice", limits))[0]
            assert (level.remaining, level.reset_us) == judged.levels[0]
    assert min(allowed, refused) > 100


@pytest.mark.parametrize("own", [None, 60])
async def test_a_list_that_has_expired_leaves_nothing_behind(valkey: ValkeyProcess, own: int | None) -> None:
    """Sealed entries live for 180 s, a tenant's state longer: what was counted beside them is forgotten with them."""
    oracle = Oracle()
    limits = limit_set(tenant("alice", 60), "kid", own)
    asked = [(limit.tenant_id or "alice", limit.window, limit.limit) for limit in limits.limits]
    async with valkey_under_test(valkey.address) as tested:

        async def ask(step_us: int) -> None:
            tested.clock.now_us += step_us
            judged = oracle.take(tested.clock.now_us, asked, 1)
            taken = await tested.store.take("alice", limits, 1, ("alice", "live", "kid"), "op", ALLOWED)
            assert seen(taken) == judged

        for _ in range(44):
            await ask(100_000)
        connection = await connect(valkey.address, timeout_s=5)
        # The server's own clock stands beside the test's: the lists go when it would let them go.
        gone = await connection.call("DEL", "aitbc:1:{alice}:sealed", "aitbc:1:{alice}:own:kid:sealed")
        connection.close()
        await connection.lost
        assert gone == len(asked)
        await ask(200_000_000)
        for _ in range(200):
            await ask(500_000)
