"""Every store against the oracle: the window is exact, nobody is let in too many and nobody refused too few (A1).

``tested`` is a parameter: each store that there is runs through all of this.
"""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest
from tests.gate.factories import START_US, tenant
from tests.gate.oracle import WINDOW_US, Judged, Oracle
from tests.gate.stores_under_test import StoreUnderTest, seen

from aitbc_server.gate.records import Limit, LimitSet, UsageId, limit_set
from aitbc_server.gate.store import ALLOWED, RATE_LIMITED, Taken

FULL = os.environ.get("AITBC_FULL") == "1"
CHECKS = 1_000_000 if FULL else 30_000
CHECKS_A_SEED = 5_000


class Traffic:
    """Random requests of three tenants: their limits change, their clock jumps, and some keys act for others."""

    def __init__(self, seed: int, tested: StoreUnderTest) -> None:
        self._random = random.Random(seed)
        self._tested = tested
        self._oracle = Oracle()
        self._plans = dict.fromkeys(("alice", "bob", "carol"), 5)
        self.expected: Counter[tuple[UsageId, str, str]] = Counter()
        self.outcomes: Counter[str] = Counter()

    async def run(self, checks: int) -> None:
        """Ask store and oracle the same; AssertionError where they differ."""
        for _ in range(checks):
            self._step_clock()
            if self._random.random() < 0.02:
                self._plans[self._random.choice(list(self._plans))] = self._random.choice((1, 2, 3, 5, 8, 20))
            request = self._draw()
            judged = await self.ask(*request)
            self.outcomes["allowed" if judged.allowed else "refused"] += 1
            held = any(each.is_held for each in self._oracle.tenants.values())
            if not judged.allowed and not held and self._random.random() < 0.2:
                await self._wait_exactly(judged.retry_after_us, *request)

    async def ask(self, acting: str, limits: LimitSet, usage_id: UsageId, cost: int) -> Judged:
        """One request to both."""
        asked = [(limit.tenant_id or acting, limit.window, limit.limit) for limit in limits.limits]
        expected = self._oracle.take(self._tested.clock.now_us, asked, cost)
        taken = await self._tested.store.take(acting, limits, cost, usage_id, "op", ALLOWED)
        assert seen(taken) == expected, (asked, cost)
        self.expected[usage_id, "op", ALLOWED if expected.allowed else RATE_LIMITED] += 1
        return expected

    async def _wait_exactly(self, wait_us: int, *request: object) -> None:
        """One microsecond early is refused; who waits exactly as long as was said is let in."""
        self._tested.clock.now_us += wait_us - 1
        early = await self.ask(*request)  # type: ignore[arg-type]
        assert (early.allowed, early.retry_after_us) == (False, 1)
        self._tested.clock.now_us += 1
        assert (await self.ask(*request)).allowed  # type: ignore[arg-type]
        self.outcomes["waited"] += 1

    def _draw(self) -> tuple[str, LimitSet, UsageId, int]:
        home = self._random.choice(list(self._plans))
        acting = self._random.choice(list(self._plans)) if self._random.random() < 0.1 else home
        number = self._random.randrange(3)
        # Each tenant's second and third key have a limit of their own, which holds over all tenants.
        own = (None, 2, 4)[number]
        limits = limit_set(
            tenant(acting, self._plans[acting]), f"{home}-{number}", own, None if acting == home else home
        )
        cost = 1 if self._random.random() < 0.7 else self._random.randint(0, limits.smallest)
        return acting, limits, (acting, "live", f"{home}-{number}"), cost

    def _step_clock(self) -> None:
        clock, die = self._tested.clock, self._random.random()
        if die < 0.80:
            clock.now_us += self._random.randrange(2_000_000)
        elif die < 0.90:
            # To the very moment when something leaves a window, or a microsecond beside it.
            times = [time_us for each in self._oracle.tenants.values() for t in each.taken.values() for time_us, _ in t]
            later = [time_us + WINDOW_US for time_us in times if time_us + WINDOW_US > clock.now_us]
            clock.now_us = self._random.choice(later or [clock.now_us]) + self._random.choice((-1, 0, 1))
        elif die < 0.905:
            clock.now_us -= self._random.choice((1, 1_000, 5_000_000, 59_999_999, 60_000_000, 100_000_000, 10**10))
        elif die < 0.91:
            clock.now_us += self._random.choice((59_999_999, 60_000_000, 60_000_001, 10**9))


@pytest.mark.parametrize("seed", range(CHECKS // CHECKS_A_SEED))
async def test_randomised_checks_agree_with_the_oracle(tested: StoreUnderTest, seed: int) -> None:
    """10^6 checks with AITBC_FULL=1: 0 over, 0 under, ``retry_after`` exact to the microsecond (A1), all counted."""
    traffic = Traffic(seed, tested)
    await traffic.run(CHECKS_A_SEED)
    assert min(traffic.outcomes[each] for each in ("allowed", "refused", "waited")) > 100
    assert await tested.counts() == traffic.expected


async def take(tested: StoreUnderTest, limits: LimitSet, cost: int = 1, acting: str = "alice") -> Taken:
    return await tested.store.take(acting, limits, cost, (acting, "live", "kid"), "op", ALLOWED)


async def test_the_sixty_first_request_of_a_minute_is_refused(tested: StoreUnderTest) -> None:
    """The 60th is let in, the 61st is not, and is again when the first leaves the window."""
    free = limit_set(tenant(), "kid", None)
    for number in range(60):
        assert (await take(tested, free)).levels[0].remaining == 59 - number
        tested.clock.step(0.5)
    refused = await take(tested, free)
    assert seen(refused) == (False, ((0, 30_000_000),), 30_000_000)
    tested.clock.step(30)
    assert (await take(tested, free)).allowed


async def test_all_limits_are_taken_or_none(tested: StoreUnderTest) -> None:
    """A request that its key's own limit refuses takes nothing from the plan's."""
    both = limit_set(tenant(limit=3), "kid", 1)
    assert (await take(tested, both)).allowed
    for _ in range(5):
        assert not (await take(tested, both)).allowed
    plan_alone = limit_set(tenant(limit=3), "other", None)
    assert (await take(tested, plan_alone)).levels[0].remaining == 1


async def test_a_keys_own_limit_holds_over_all_tenants(tested: StoreUnderTest) -> None:
    """A key that acts for several tenants has its own limit once, not once for each."""
    at_home = limit_set(tenant("alice"), "kid", 2)
    away = limit_set(tenant("bob"), "kid", 2, "alice")
    assert (await take(tested, at_home)).allowed
    assert (await take(tested, away, acting="bob")).allowed
    assert not (await take(tested, at_home)).allowed
    assert not (await take(tested, away, acting="bob")).allowed


async def test_a_question_takes_nothing_and_is_never_refused(tested: StoreUnderTest) -> None:
    """Cost 0 shows where a limit stands, also one that was lowered below what is used."""
    generous, strict = limit_set(tenant(limit=5), "kid", None), limit_set(tenant(limit=2), "kid", None)
    assert seen(await take(tested, generous, 0)) == (True, ((5, 0),), 0)
    await take(tested, generous, 5)
    assert seen(await take(tested, strict, 0)) == (True, ((0, WINDOW_US),), 0)


async def test_a_look_shows_what_a_question_would(tested: StoreUnderTest) -> None:
    """Remaining and reset of each limit, of the very moment; nothing is taken and nothing counted."""
    both = limit_set(tenant(limit=5), "kid", 3)
    assert [each.remaining for each in await tested.store.look("alice", both)] == [5, 3]
    await take(tested, both, 2)
    tested.clock.step(10)
    await take(tested, limit_set(tenant(limit=5), "other", None))
    counted = await tested.counts()
    for _ in range(10):
        assert [(each.remaining, each.reset_us) for each in await tested.store.look("alice", both)] == [
            (2, 50_000_000),
            (1, 50_000_000),
        ]
    assert await tested.counts() == counted
    assert (await take(tested, both)).levels[0].remaining == 1
    lowered = limit_set(tenant(limit=1), "kid", None)
    assert [each.remaining for each in await tested.store.look("alice", lowered)] == [0]
    assert [each.remaining for each in await tested.store.look("bob", lowered)] == [1]
    tested.clock.step(60)
    assert [(each.remaining, each.reset_us) for each in await tested.store.look("alice", both)] == [(5, 0), (3, 0)]


async def test_a_look_by_a_clock_that_is_ahead_lets_nobody_in(tested: StoreUnderTest) -> None:
    """Who watches while the clock is wrong changes nothing for the requests after it was put right."""
    free = limit_set(tenant(limit=1), "kid", None)
    assert (await take(tested, free)).allowed
    tested.clock.step(3600)
    assert [each.remaining for each in await tested.store.look("alice", free)] == [1]
    tested.clock.step(-3590)
    assert not (await take(tested, free)).allowed


async def test_a_lowered_limit_waits_for_enough_to_leave(tested: StoreUnderTest) -> None:
    """After 5 in 5 s and a limit lowered to 2, the next one fits when four have left."""
    generous, strict = limit_set(tenant(limit=5), "kid", None), limit_set(tenant(limit=2), "kid", None)
    for _ in range(5):
        await take(tested, generous)
        tested.clock.step(1)
    refused = await take(tested, strict)
    assert refused.retry_after_us == WINDOW_US - 2_000_000


async def test_a_clock_that_steps_back_lets_nobody_in_twice(tested: StoreUnderTest) -> None:
    """Time stands still for the tenant; after 60 s of standing still its windows start anew."""
    free = limit_set(tenant(limit=1), "kid", None)
    assert (await take(tested, free)).allowed
    tested.clock.step(-3600)
    assert not (await take(tested, free)).allowed
    tested.clock.step(59)
    assert not (await take(tested, free)).allowed
    tested.clock.step(1)
    assert (await take(tested, free)).allowed


async def test_steps_back_again_and_again_do_not_hold_for_ever(tested: StoreUnderTest) -> None:
    """At most 60 s in all, however often the clock is set back in between."""
    free = limit_set(tenant(limit=1), "kid", None)
    assert (await take(tested, free)).allowed
    for _ in range(3):
        tested.clock.step(-1000)
        assert not (await take(tested, free)).allowed
        tested.clock.step(20)
        allowed = (await take(tested, free)).allowed
    assert allowed


async def test_tenants_do_not_share(tested: StoreUnderTest) -> None:
    """One tenant's traffic takes nothing from another's. ASVS 8.4.1."""
    free = limit_set(tenant(limit=1), "kid", None)
    assert (await take(tested, free)).allowed
    assert (await take(tested, free, acting="bob")).allowed


async def test_the_outcome_that_was_asked_for_is_counted(tested: StoreUnderTest) -> None:
    """A refusal by somebody else is counted under its own name."""
    limits = LimitSet((Limit("free", 60),), 60, (b"", b""), ((b"", b""),), b"%d%d", b"%d%d")
    await tested.store.take("alice", limits, 0, ("alice", "live", "kid"), "jobs.list", "insufficient_scope")
    assert await tested.counts() == {(("alice", "live", "kid"), "jobs.list", "insufficient_scope"): 1}
    assert tested.clock.now_us == START_US
