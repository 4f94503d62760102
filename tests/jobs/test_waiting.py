"""The waiting room: who is woken for which job."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from tests.jobs.market import stays

from aitbc_server.jobs.waiting import POLLS_PER_MINER, RECHECK_S, Offer, Seeker, Waiter, WaitingRoom


def seeker(miner_id: str = "rig", **changes: Any) -> Seeker:
    """A live miner of acme without any capabilities."""
    fields: dict[str, Any] = {
        "kid": "k",
        "miner_id": miner_id,
        "environment": "live",
        "tenant_id": "acme",
        "capabilities": {},
        "region": None,
        "concurrency": 1,
    }
    return Seeker(**{**fields, **changes})


def offer(job_id: str = "job_1", tenant_id: str = "acme", environment: str = "live", **constraints: Any) -> Offer:
    """A queued job."""
    return Offer(job_id, environment, tenant_id, constraints)


async def fill(stack: AsyncExitStack, room: WaitingRoom, *seekers: Seeker) -> list[Waiter]:
    """Let these wait, in this order."""
    return [await stack.enter_async_context(room.place(each, stays)) for each in seekers]


async def is_woken(waiter: Waiter) -> bool:
    """Whether the waiter was woken since it was asked last."""
    return await waiter.woken(0)


async def test_a_job_wakes_the_first_who_may_have_it_and_nobody_else() -> None:
    """In the order in which they came; each job wakes one; who cannot run it sleeps on."""
    room = WaitingRoom()
    async with AsyncExitStack() as stack:
        cpu, first, second = await fill(
            stack,
            room,
            seeker("cpu"),
            seeker("first", capabilities={"gpu": "A100"}),
            seeker("second", capabilities={"gpu": "A100"}),
        )
        room.queued(offer(gpu="A100"))
        assert [await is_woken(each) for each in (cpu, first, second)] == [False, True, False]
        room.queued(offer("job_2", gpu="A100"))
        assert [await is_woken(each) for each in (cpu, first, second)] == [False, False, True]
        # Both are on their way, and may have looked too early to see this one: one of them looks again.
        room.queued(offer("job_3", gpu="A100"))
        assert [await is_woken(each) for each in (cpu, first, second)] == [False, True, False]


async def test_environments_and_tenants_are_kept_apart() -> None:
    """A live job wakes any tenant's live miner; a test job its own tenant's test miner alone."""
    room = WaitingRoom()
    async with AsyncExitStack() as stack:
        waiters = await fill(
            stack,
            room,
            seeker(environment="test", tenant_id="rival"),
            seeker(environment="test"),
            seeker(tenant_id="rival"),
        )
        room.queued(offer(environment="test"))
        assert [await is_woken(each) for each in waiters] == [False, True, False]
        room.queued(offer())
        assert [await is_woken(each) for each in waiters] == [False, False, True]


async def test_who_leaves_without_looking_passes_its_wake_up_on() -> None:
    """No wake-up is lost when a client hangs up or its time is over."""
    room = WaitingRoom()
    async with AsyncExitStack() as stack:
        async with room.place(seeker("leaver"), stays):
            (stayer,) = await fill(stack, room, seeker("stayer"))
            room.queued(offer())
            assert not await is_woken(stayer)
        assert await is_woken(stayer)
        assert list(stayer.offers) == ["job_1"]
    assert len(room) == 0


async def test_an_offer_goes_round_once() -> None:
    """Who came earlier is asked too, if it was not; when all have declined, the job waits in the queue."""
    room = WaitingRoom()
    async with AsyncExitStack() as stack:
        first, second = await fill(stack, room, seeker("first"), seeker("second"))
        room.queued(offer("job_1"))
        room.queued(offer("job_2"))
        assert [await is_woken(first), await is_woken(second)] == [True, True]
        room.pass_on(second)
        assert [await is_woken(first), await is_woken(second)] == [True, False]
        assert sorted(first.offers) == ["job_1", "job_2"]
        room.pass_on(first)
        assert [await is_woken(first), await is_woken(second)] == [False, True]
        assert list(second.offers) == ["job_1"]
        room.pass_on(second)
        assert [await is_woken(first), await is_woken(second)] == [False, False]


async def test_who_finds_an_older_job_leaves_its_own_to_another() -> None:
    """The job that it was woken for is still there, and wakes somebody else."""
    room = WaitingRoom()
    async with AsyncExitStack() as stack:
        taker, other = await fill(stack, room, seeker("taker"), seeker("other"))
        room.queued(offer("job_2"))
        room.taken(taker, "job_1")
        assert list(other.offers) == ["job_2"]
        room.taken(other, "job_2")
        assert not taker.offers


async def test_a_miner_has_so_many_places() -> None:
    """One more poll than that sends the oldest home; other miners, and other keys' of that name, are left alone."""
    room = WaitingRoom()
    async with AsyncExitStack() as stack:
        others = await fill(stack, room, seeker("other"), seeker(kid="k2"), seeker("wide", concurrency=6))
        polls = await fill(stack, room, *[seeker()] * (POLLS_PER_MINER + 2))
        others += await fill(stack, room, *[seeker("wide", concurrency=6)] * 5)
        assert [each.is_over for each in polls] == [True, True] + [False] * POLLS_PER_MINER
        assert await is_woken(polls[0])
        assert not any(each.is_over for each in others)
    assert len(room) == 0
    assert not room._by_miner


async def test_who_is_busy_is_not_woken_for_jobs() -> None:
    """The job goes to the next; when a hand is free again, the miner looks by itself."""
    room = WaitingRoom()
    async with AsyncExitStack() as stack:
        rig, other = await fill(stack, room, seeker("rig"), seeker("other"))
        room.queued(offer("job_1"))
        assert await is_woken(rig)
        room.busy(rig)
        assert await is_woken(other)
        room.busy(other)
        room.queued(offer("job_2"))
        assert [await is_woken(rig), await is_woken(other)] == [False, False]
        room.freed("k", "rig")
        assert [await is_woken(rig), await is_woken(other)] == [True, False]
        room.queued(offer("job_3"))
        assert list(rig.offers) == ["job_3"]


async def test_a_client_that_hangs_up_is_told_and_passed_over() -> None:
    """Its waiter wakes up at once, and no job is offered to it any more."""
    room = WaitingRoom()
    gone = asyncio.Event()

    async def disconnected() -> None:
        await gone.wait()

    async with AsyncExitStack() as stack, room.place(seeker("gone"), disconnected) as leaver:
        (stayer,) = await fill(stack, room, seeker("stayer"))
        gone.set()
        assert await leaver.woken(1)
        assert leaver.is_over
        room.queued(offer())
        assert await is_woken(stayer)
        assert not leaver.offers


async def test_a_freed_hand_and_a_stop_wake_up() -> None:
    """The end of a lease wakes that miner only; the stop of the server wakes all."""
    room = WaitingRoom()
    async with AsyncExitStack() as stack:
        one, other = await fill(stack, room, seeker("one"), seeker("other"))
        room.freed("k", "one")
        assert [await is_woken(one), await is_woken(other)] == [True, False]
        room.close()
        assert [await is_woken(one), await is_woken(other)] == [True, True]
        assert room.closed


async def test_a_full_room_looks_less_often() -> None:
    """However many wait, together they cost no more than 50 looks a second."""
    room = WaitingRoom()
    async with AsyncExitStack() as stack:
        await fill(stack, room, seeker())
        assert room.recheck_s == RECHECK_S
        await fill(stack, room, *(seeker() for _ in range(499)))
        assert len(room) / room.recheck_s <= 50
