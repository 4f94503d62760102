"""A request whose tenants are in several slots: what is asked where, in which order, and what comes of faults."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from time import monotonic

import pytest
from tests.gate.factories import tenant

from aitbc_server.gate import across_slots
from aitbc_server.gate.across_slots import Count, SlotPart
from aitbc_server.gate.limiter import Verdict
from aitbc_server.gate.records import limit_set
from aitbc_server.gate.shared_store import Stale
from aitbc_server.gate.store import StoreUnavailableError, Taken

SLOTS = {"home": 1, "other": 2}
COUNT = Count(("other", "live", "kid"), "things.any", "allowed")
LIMITS = limit_set(tenant("other", limit=5), "kid", 3, "home")
Answers = Callable[[SlotPart, int, Count], Awaitable[Taken | Stale]]


class Stores:
    """One slot each; ``asked`` is (slot, cost, outcome) of every call."""

    def __init__(self, **left: int) -> None:
        self.left = {SLOTS[name]: count for name, count in left.items()}
        self.asked: list[tuple[int, int, str]] = []
        self.before: Callable[[int, int], Awaitable[Stale | None]] | None = None

    async def ask(self, part: SlotPart, cost: int, count: Count) -> Taken | Stale:
        """Take from the part's only limit."""
        self.asked.append((part.slot, cost, count.outcome))
        if self.before is not None and (stale := await self.before(part.slot, cost)):
            return stale
        allowed = self.left[part.slot] >= abs(cost)
        if allowed:
            self.left[part.slot] -= max(cost, 0)
        retry_us = 0 if allowed else 7
        return Taken(allowed, tuple(Verdict(allowed, self.left[part.slot], 9, retry_us) for _ in part.places), retry_us)


async def take(stores: Stores, *, cost: int = 1, timeout_s: float = 5, own: bool = True) -> Taken | Stale:
    """One request of a key of "home" that acts for "other"."""
    limits = LIMITS if own else limit_set(tenant("other", limit=5), "kid", None, "home")
    home, others = across_slots.parts("other", limits, {"home": "a", "other": "b"}, SLOTS.__getitem__)
    assert (home.tenant_id, [each.tenant_id for each in others]) == ("other", ["home"])
    return await across_slots.take(home, others, cost, COUNT, stores.ask, timeout_s=timeout_s)


async def test_without_a_limit_elsewhere_two_calls_do() -> None:
    """The other slot is only compared."""
    stores = Stores(home=0, other=5)
    taken = await take(stores, own=False)
    assert isinstance(taken, Taken)
    assert taken.allowed
    assert stores.asked == [(1, -1, ""), (2, 1, "allowed")]


async def test_all_limits_are_looked_at_before_one_is_taken() -> None:
    """The levels are in the order of the limits, however they were asked for."""
    stores = Stores(home=3, other=5)
    taken = await take(stores)
    assert isinstance(taken, Taken)
    assert [level.remaining for level in taken.levels] == [4, 2]
    assert sorted(stores.asked[:2]) == [(1, -1, ""), (2, -1, "")]
    assert stores.asked[2:] == [(1, 1, ""), (2, 1, "allowed")]


@pytest.mark.parametrize("left", [{"home": 0, "other": 5}, {"home": 3, "other": 0}])
async def test_a_limit_that_is_full_takes_from_none(left: dict[str, int]) -> None:
    """The refusal is counted where the decision is, once, and says when there is room."""
    stores = Stores(**left)
    taken = await take(stores)
    assert taken == Taken(False, tuple(Verdict(False, left[name], 9, 7) for name in ("other", "home")), 7)
    assert stores.asked[2:] == [(2, 0, "rate_limit_exceeded")]


async def test_a_place_that_is_lost_in_between_is_a_refusal() -> None:
    """The key's own limit is taken first: nothing was taken from the plan when it refuses."""
    stores = Stores(home=1, other=5)

    async def lose(slot: int, cost: int) -> None:
        if (slot, cost) == (1, 1):
            stores.left[1] = 0

    stores.before = lose
    taken = await take(stores)
    assert isinstance(taken, Taken)
    assert (taken.allowed, taken.retry_after_us, stores.left) == (False, 7, {1: 0, 2: 5})
    assert stores.asked[2:] == [(1, 1, ""), (2, 0, "rate_limit_exceeded")]


async def test_a_fence_that_is_not_as_expected_ends_it() -> None:
    """At whichever call; nothing is decided, and all tokens that were seen are told, be there any or not."""
    for at, told in itertools.product([(1, -1), (2, -1), (1, 1), (2, 1)], [Stale({"a tenant": "a token"}), Stale({})]):
        stores = Stores(home=3, other=5)

        async def stale(slot: int, cost: int, at: tuple[int, int] = at, told: Stale = told) -> Stale | None:
            return told if (slot, cost) == at else None

        stores.before = stale
        assert await take(stores) == told


async def test_nobody_waits_longer_for_several_calls_than_for_one() -> None:
    """Who gives up hears later whether the decision was counted after all."""
    go_on = asyncio.Event()
    for ends, counted in (((2, 1), True), ((1, -1), None)):
        stores = Stores(home=3, other=5)
        go_on.clear()

        async def hang(slot: int, cost: int, ends: tuple[int, int] = ends) -> None:
            if (slot, cost) == ends:
                await go_on.wait()

        stores.before = hang
        began_s = monotonic()
        with pytest.raises(StoreUnavailableError) as given_up:
            await take(stores, timeout_s=0.05)
        assert monotonic() - began_s < 1
        go_on.set()
        told = given_up.value.counted
        assert (None if told is None else await asyncio.wait_for(told, 1)) is counted


async def test_what_a_store_says_later_is_passed_on() -> None:
    """The store itself gave up, and knows more once the answer is there."""
    go_on, told = asyncio.Event(), asyncio.get_running_loop().create_future()
    stores = Stores(home=3, other=5)

    async def fail(slot: int, cost: int) -> None:
        if (slot, cost) == (2, 1):
            await go_on.wait()
            raise StoreUnavailableError("late", told)

    stores.before = fail
    with pytest.raises(StoreUnavailableError) as given_up:
        await take(stores, timeout_s=0.05)
    go_on.set()
    told.set_result(True)
    assert given_up.value.counted is not None
    assert await asyncio.wait_for(given_up.value.counted, 1) is True


async def test_who_leaves_takes_the_calls_along() -> None:
    """A request that is cancelled leaves no task behind."""
    stores = Stores(home=3, other=5)
    reached = asyncio.Event()

    async def hang(slot: int, cost: int) -> None:
        reached.set()
        await asyncio.Event().wait()

    stores.before = hang
    asking = asyncio.create_task(take(stores, own=False))
    await reached.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
