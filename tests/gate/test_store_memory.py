"""What the memory store does beside deciding: it keeps windows over a restart and forgets idle tenants."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.gate.factories import ANY, FakeClock, tenant

from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.records import LimitSet, TenantRecord, limit_set
from aitbc_server.gate.store import ALLOWED, RATE_LIMITED, ImmediateStore, Prepared, Taken
from aitbc_server.gate.store_memory import MemoryStore

ALICE = tenant(limit=3)
FREE = limit_set(tenant(limit=3), "kid", None)
BOTH = limit_set(tenant(limit=3), "kid", 2)


class Kept:
    """A store whose clock a test turns."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock, UsageCounter())

    async def take(self, tenant_id: str = "alice", limits: LimitSet = FREE, cost: int = 1) -> Taken:
        """One request."""
        return await self.store.take(tenant_id, limits, cost, (tenant_id, "live", "kid"), "op", ALLOWED)


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns as often as the interpreter can."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before_s)


def test_it_answers_at_once() -> None:
    """The gate asks it without waiting."""
    assert isinstance(Kept().store, ImmediateStore)


async def test_windows_survive_a_restart() -> None:
    """What was used before is used afterwards, the plan's and the key's own."""
    before, after = Kept(), Kept()
    await before.take(limits=BOTH, cost=2)
    after.clock.step(10)
    after.store.restore(before.store.save())
    refused = await after.take(limits=BOTH)
    assert [level.remaining for level in refused.levels] == [1, 0]
    assert refused.retry_after_us == 50_000_000
    assert (await after.take(limits=FREE)).allowed
    assert not (await after.take(limits=FREE)).allowed


async def test_a_restart_with_a_clock_set_back_lets_nobody_in_twice() -> None:
    """Restored times that lie ahead hold the tenant's time still, as a step back does."""
    before, after = Kept(), Kept()
    await before.take(cost=3)
    after.clock.step(-600)
    after.store.restore(before.store.save())
    assert not (await after.take()).allowed


async def test_what_has_left_its_window_is_not_kept() -> None:
    """An idle server saves nothing."""
    kept = Kept()
    await kept.take(limits=BOTH)
    kept.clock.step(60)
    assert kept.store.save() == []


async def test_idle_tenants_are_forgotten() -> None:
    """Memory follows the tenants of the last two minutes, not those of all time."""
    kept = Kept()
    for number in range(100):
        await kept.take(f"tenant-{number}")
    kept.clock.step(121)
    for number in range(100, 160):
        await kept.take(f"tenant-{number}")
    assert len(kept.store._tenants) < 100
    assert all(f"tenant-{number}" in kept.store._tenants for number in range(100, 160))


async def test_a_tenant_whose_clock_is_held_is_not_forgotten() -> None:
    """Forgetting it would let it in twice."""
    kept = Kept()
    await kept.take(cost=3)
    kept.clock.step(-600)
    for number in range(20):
        await kept.take(f"tenant-{number}")
    assert not (await kept.take()).allowed


async def test_windows_that_start_anew_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The operator learns that the clock was set back by more than a minute."""
    kept = Kept()
    await kept.take()
    kept.clock.step(-600)
    await kept.take()
    kept.clock.step(60)
    with caplog.at_level(logging.WARNING):
        await kept.take()
    assert "clock stepped back" in caplog.text


async def test_long_windows_are_compacted() -> None:
    """What has left the window does not stay in memory."""
    kept = Kept()
    large = limit_set(tenant(limit=1000), "kid", None)
    for _ in range(5000):
        await kept.take(limits=large)
        kept.clock.step(0.06)
    assert len(kept.store._tenants["alice"].times) <= 2 * 1000 + 1


def prepared(kept: Kept, limits: LimitSet, of: TenantRecord = ALICE) -> Prepared:
    """A kind of request of ``of``'s key."""
    found = kept.store.prepare(of, limits, (of.id, "live", "kid"), ANY)
    assert found is not None
    return found


async def test_what_is_prepared_takes_from_the_same_window() -> None:
    """And counts as the same operation, refusals too."""
    kept = Kept()
    ready = prepared(kept, FREE)
    await kept.take()
    answers = [ready.take(kept.clock(), 1) for _ in range(3)]
    assert [each.levels[0].remaining for each in answers] == [1, 0, 0]
    assert [each.allowed for each in answers] == [True, True, False]
    assert (await kept.take()).allowed is False
    counts = {key[1:]: decisions for _, key, decisions in kept.store.counter.totals()}
    assert counts == {("op", ALLOWED): 1, (ANY.id, ALLOWED): 2, (ANY.id, RATE_LIMITED): 1, ("op", RATE_LIMITED): 1}


def test_only_a_plans_limit_alone_is_prepared() -> None:
    """A limit of the key's own has a window beside it."""
    assert Kept().store.prepare(ALICE, BOTH, ("alice", "live", "kid"), ANY) is None


async def test_what_was_prepared_for_a_forgotten_tenant_finds_its_new_window() -> None:
    """Two windows for one tenant would let twice its limit in."""
    kept = Kept()
    ready = prepared(kept, FREE)
    assert ready.take(kept.clock(), 1).allowed
    kept.clock.step(121)
    for number in range(3):
        await kept.take(f"tenant-{number}")
    assert "alice" not in kept.store._tenants
    taken = [ready.take(kept.clock(), 1).allowed, (await kept.take()).allowed, ready.take(kept.clock(), 1).allowed]
    assert taken == [True] * 3
    assert not (await kept.take()).allowed
    assert not ready.take(kept.clock(), 1).allowed


@pytest.mark.usefixtures("switching")
def test_threads_take_no_more_than_the_limit_and_count_everything() -> None:
    """To look and to take is one step, whoever else asks meanwhile, and each decision is counted once."""
    limit, each, threads = 2000, 1500, 4
    kept = Kept()
    busy = limit_set(tenant(limit=limit), "kid", None)
    ready = prepared(kept, busy)

    def take(thread: int) -> int:
        now_us, allowed = kept.clock(), 0
        for _ in range(each):
            if thread % 2:
                allowed += ready.take(now_us, 1).allowed
            else:
                usage_id = ("alice", "live", "kid")
                allowed += kept.store.take_now(now_us, "alice", busy, 1, usage_id, "op", ALLOWED).allowed
            kept.store.counter.ledgers()
        return allowed

    with ThreadPoolExecutor(threads) as pool:
        assert sum(pool.map(take, range(threads))) == limit
    outcomes = {ALLOWED: 0, RATE_LIMITED: 0}
    for _, (_, _, outcome), decisions in kept.store.counter.totals():
        outcomes[outcome] += decisions
    assert outcomes == {ALLOWED: limit, RATE_LIMITED: threads * each - limit}
