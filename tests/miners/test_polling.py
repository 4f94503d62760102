"""The long poll: wakes at once, waits for free, hands out nothing to whom it must not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.jobs.market import LEASE_S, Market, Node, allowed, stays

from aitbc.schemas.jobs import JobState
from aitbc.schemas.miners import AssignedJob
from aitbc_server.errors import Code, DomainError
from aitbc_server.jobs import waiting


@pytest.fixture(autouse=True)
def _only_wake_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking again by oneself is off, so that what these tests see comes from a wake-up."""
    monkeypatch.setattr(waiting, "RECHECK_S", 60.0)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, for 10 s at most."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it did not come to that in time")


async def until_waiting(node: Node, how_many: int = 1) -> None:
    """Wait until so many polls are in the room and have found nothing yet."""
    await eventually(lambda: len(node.waiting) == how_many)
    await asyncio.sleep(0.1)


def start_poll(node: Node, actor: Any, **changes: Any) -> asyncio.Task[Any]:
    """A poll of 30 s on its way."""
    hooks = {"still_allowed": allowed, "disconnected": stays, **changes}
    return asyncio.create_task(node.dispatch.poll(actor, None, 30, **hooks))


async def test_a_poll_wakes_within_100_ms_of_the_job(market: Market) -> None:
    """From the moment the job was answered to the moment the miner has it; the best of some on a busy machine."""
    took_s: list[float] = []
    await market.node.register(market.miner, concurrency=10)
    while not took_s or (min(took_s) >= 0.1 and len(took_s) < 5):
        poll = start_poll(market.node, market.miner)
        await until_waiting(market.node)
        job = await market.node.submit(market.client)
        began = time.monotonic()
        assert (await poll).job_id == job.job_id
        took_s.append(time.monotonic() - began)
    assert min(took_s) < 0.1


async def test_waiting_costs_nothing(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty polls that wait for a second look once each when they come, and use no processor time after."""
    looks = 0
    look = market.node.dispatch._look

    async def counted(*args: Any) -> Any:
        nonlocal looks
        looks += 1
        return await look(*args)

    monkeypatch.setattr(market.node.dispatch, "_look", counted)
    await market.node.register(market.miner, concurrency=20)
    polls = [start_poll(market.node, market.miner) for _ in range(20)]
    await until_waiting(market.node, 20)
    used = time.process_time()
    await asyncio.sleep(1)
    assert time.process_time() - used < 0.1
    assert looks == 20
    market.node.waiting.close()
    assert await asyncio.gather(*polls) == [None] * 20


async def test_a_poll_ends_in_time_with_nothing(market: Market) -> None:
    """204 after `max_wait_seconds`, not much later."""
    await market.node.register(market.miner)
    began = time.monotonic()
    assert await market.node.poll(market.miner, max_wait_s=0.3) is None
    assert 0.3 <= time.monotonic() - began < 1
    assert len(market.node.waiting) == 0


async def test_ten_jobs_reach_ten_of_twenty_waiting_polls(market: Market) -> None:
    """Each queued job wakes a poll of its own; the others go on waiting."""
    miners = [await market.actor("acme") for _ in range(20)]
    for miner in miners:
        await market.node.register(miner)
    polls = [start_poll(market.node, miner) for miner in miners]
    await until_waiting(market.node, 20)
    jobs = await asyncio.gather(*(market.node.submit(market.client) for _ in range(10)))
    await eventually(lambda: sum(poll.done() for poll in polls) == 10)
    market.node.waiting.close()
    given = [job.job_id for job in await asyncio.gather(*polls) if job is not None]
    assert sorted(given) == sorted(job.job_id for job in jobs)


async def test_a_job_that_comes_back_wakes_a_poll(market: Market) -> None:
    """The sweep that takes back a lapsed lease wakes the next miner."""
    node = market.node
    await node.register(market.miner)
    await node.register(market.strange_miner)
    job = await node.submit(market.client)
    await node.work(market.miner)
    poll = start_poll(node, market.strange_miner)
    await until_waiting(node)
    await node.pass_time(LEASE_S)
    async with asyncio.timeout(5):
        assert (await poll).job_id == job.job_id


async def test_a_busy_miner_gets_the_next_job_when_it_is_done(market: Market) -> None:
    """A poll of a miner without a free hand waits until it hands in, fails, or its job is cancelled."""
    node = market.node
    await node.register(market.miner)
    await node.submit(market.client)
    held = await node.work(market.miner)
    ends: list[Any] = [node.finish, node.give_up, lambda _, job_id: node.jobs.cancel(market.client, job_id)]
    for end in ends:
        poll = start_poll(node, market.miner)
        await until_waiting(node)
        await node.submit(market.client)
        await asyncio.sleep(0.05)
        assert not poll.done()
        await end(market.miner, held.job_id)
        async with asyncio.timeout(5):
            held = await poll


async def test_a_busy_miner_leaves_the_job_to_one_that_is_free(market: Market) -> None:
    """The wake-up is passed on: nobody waits behind a miner that has no free hand."""
    node = market.node
    await node.register(market.miner)
    await node.register(market.strange_miner)
    await node.submit(market.client)
    await node.work(market.miner)
    busy = start_poll(node, market.miner)
    await until_waiting(node)
    free = start_poll(node, market.strange_miner)
    await until_waiting(node, 2)
    job = await node.submit(market.client)
    async with asyncio.timeout(5):
        assert (await free).job_id == job.job_id
    assert not busy.done()
    node.waiting.close()
    assert await busy is None


async def test_a_key_that_was_revoked_meanwhile_gets_no_job(market: Market) -> None:
    """The key is looked at again before a job is leased: the refusal is the answer, the job stays for another."""
    node = market.node
    await node.register(market.miner)
    await node.register(market.strange_miner)

    async def revoked() -> None:
        raise DomainError(Code.REVOKED_API_KEY, "This API key was revoked.")

    poll = start_poll(node, market.miner, still_allowed=revoked)
    await until_waiting(node)
    other = start_poll(node, market.strange_miner)
    await until_waiting(node, 2)
    job = await node.submit(market.client)
    with pytest.raises(DomainError) as caught:
        await poll
    assert caught.value.code == Code.REVOKED_API_KEY
    async with asyncio.timeout(5):
        assert (await other).job_id == job.job_id


async def test_busy_miners_are_asked_once_and_not_for_every_job(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty that have their hands full look when they come; ten jobs then cost them nothing."""
    node = market.node
    miners = [await market.actor("acme") for _ in range(21)]
    for miner in miners:
        await node.register(miner)
    for _ in miners[1:]:
        await node.submit(market.client)
    for miner in miners[1:]:
        await node.work(miner)
    busy = [start_poll(node, miner) for miner in miners[1:]]
    await eventually(lambda: sum(waiter.is_busy for waiter in node.waiting._waiters) == 20)
    looks: list[str] = []
    look = node.dispatch._look

    async def counted(seeker: Any, *args: Any) -> Any:
        looks.append(seeker.kid)
        return await look(seeker, *args)

    monkeypatch.setattr(node.dispatch, "_look", counted)
    for _ in range(10):
        poll = start_poll(node, miners[0])
        await until_waiting(node, 21)
        job = await node.submit(market.client)
        assert (await poll).job_id == job.job_id
        await node.finish(miners[0], job.job_id)
    assert set(looks) == {miners[0].kid}
    node.waiting.close()
    assert await asyncio.gather(*busy) == [None] * 20


async def test_a_miner_whose_lease_lapsed_has_a_hand_free(market: Market) -> None:
    """Its poll that waits gets the next job as soon as the sweep has taken the old one back."""
    node = market.node
    await node.register(market.miner)
    await node.submit(market.client, ttl_seconds=1)
    await node.work(market.miner)
    poll = start_poll(node, market.miner)
    await until_waiting(node)
    await node.pass_time(LEASE_S)
    job = await node.submit(market.client)
    async with asyncio.timeout(5):
        assert (await poll).job_id == job.job_id


async def test_a_client_that_hangs_up_gives_up_its_place(market: Market) -> None:
    """Its poll ends at once, and the next job goes to somebody who is there."""
    node = market.node
    gone = asyncio.Event()

    async def disconnected() -> None:
        await gone.wait()

    await node.register(market.miner)
    poll = start_poll(node, market.miner, disconnected=disconnected)
    await until_waiting(node)
    gone.set()
    async with asyncio.timeout(1):
        assert await poll is None
    job = await node.submit(market.client)
    assert (await node.jobs.get(market.client, job.job_id)).state == JobState.QUEUED


async def test_a_job_of_another_node_is_found_by_looking_again(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process queued wakes nobody here; the slow look finds it."""
    monkeypatch.setattr(waiting, "RECHECK_S", 0.2)
    other = market.other_node()
    await market.node.register(market.miner)
    poll = start_poll(market.node, market.miner)
    await until_waiting(market.node)
    job = await other.submit(market.client)
    async with asyncio.timeout(5):
        assert (await poll).job_id == job.job_id


async def test_a_stop_ends_every_poll_at_once(market: Market) -> None:
    """Those that wait and those that come: 204, without waiting."""
    node = market.node
    await node.register(market.miner)
    polls = [start_poll(node, market.miner) for _ in range(3)]
    await until_waiting(node, 3)
    node.waiting.close()
    async with asyncio.timeout(1):
        assert await asyncio.gather(*polls) == [None, None, None]
        assert await node.poll(market.miner, max_wait_s=30) is None


async def test_more_polls_than_connections_do_not_block_each_other(market: Market) -> None:
    """A poll holds no database connection while it waits for another one (or for the lock to write)."""
    node = market.node
    miners = [await market.actor("acme") for _ in range(40)]
    for miner in miners:
        await node.register(miner)
    polls = [start_poll(node, miner) for miner in miners]
    await until_waiting(node, 40)
    async with asyncio.timeout(20):
        for _ in miners:
            await node.submit(market.client)
        assert None not in await asyncio.gather(*polls)


async def test_claims_at_once_do_not_exceed_the_concurrency(market: Market) -> None:
    """Leases are counted under a lock on the miner: of eight claims that all saw a free hand, two get a job."""
    node = market.node
    await node.register(market.miner, concurrency=2)
    job_ids = [(await node.submit(market.client)).job_id for _ in range(8)]
    seeker = await node.dispatch._arrive(market.miner, None)
    claims = await asyncio.gather(*(node.dispatch._claim(seeker, job_ids, allowed) for _ in range(8)))
    assert sum(isinstance(claim, AssignedJob) for claim in claims) == 2


async def test_a_key_revoked_while_the_claim_waits_for_its_lock_gets_no_job(market: Market) -> None:
    """Design 5: a long poll looks at the key again before it hands out a job, under the very lock of the claim."""
    node = market.node
    await node.register(market.miner)
    job = await node.submit(market.client)
    seeker = await node.dispatch._arrive(market.miner, None)
    looks = iter([True, False])

    async def revoked_in_between() -> None:
        if not next(looks):
            raise DomainError(Code.REVOKED_API_KEY, "This API key was revoked.")

    with pytest.raises(DomainError):
        await node.dispatch._claim(seeker, [job.job_id], revoked_in_between)
    assert isinstance(await node.dispatch._claim(seeker, [job.job_id], allowed), AssignedJob)
