"""A job is leased to one miner at a time, is never lost, and takes one result."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.jobs.market import LEASE_S, Market

from aitbc.schemas.jobs import JobState
from aitbc.schemas.scopes import Environment
from aitbc_server.errors import Code, DomainError
from aitbc_server.jobs import leases, sweeper


async def refused(call: Any) -> str:
    """The code with which the call is refused."""
    with pytest.raises(DomainError) as caught:
        await call
    return caught.value.code


async def test_twenty_pollers_get_ten_jobs_once_each(market: Market) -> None:
    """Whoever polls at the same time, on two nodes, each job is handed out exactly once."""
    nodes = [market.node, market.other_node()]
    miners = [await market.actor("acme") for _ in range(20)]
    for miner in miners:
        await market.node.register(miner)
    made = [(await market.node.submit(market.client)).job_id for _ in range(10)]
    given = await asyncio.gather(*(nodes[n % 2].poll(miner) for n, miner in enumerate(miners)))
    assert Counter(job.job_id for job in given if job is not None) == Counter(made)


async def test_one_miner_never_holds_more_than_its_concurrency(market: Market) -> None:
    """However many of its polls come at once, on two nodes; a finished job makes room for the next."""
    nodes = [market.node, market.other_node()]
    await market.node.register(market.miner, concurrency=3)
    for _ in range(10):
        await market.node.submit(market.client)
    polls = await asyncio.gather(*(nodes[n % 2].poll(market.miner) for n in range(8)))
    held = [job for job in polls if job is not None]
    assert len(held) == 3
    assert await market.node.poll(market.miner) is None
    await market.node.finish(market.miner, held[0].job_id)
    assert await market.node.poll(market.miner) is not None


async def test_the_oldest_job_comes_first_and_none_blocks_those_behind_it(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs that this miner cannot run, pages of them, do not keep it from the ones it can."""
    monkeypatch.setattr(leases, "PORTION", 3)
    for number in range(8):
        await market.node.submit(market.client, {"n": number}, constraints={"gpu": "H100"})
        market.clock.now_us += 1000 * (number % 2)
    first = await market.node.submit(market.client)
    market.clock.now_us += 1000
    second = await market.node.submit(market.client)
    await market.node.register(market.miner, concurrency=5)
    assert [(await market.node.work(market.miner)).job_id for _ in range(2)] == [first.job_id, second.job_id]
    assert await market.node.poll(market.miner) is None


async def test_live_is_a_marketplace_and_test_stays_at_home(market: Market) -> None:
    """A live job may run at a stranger's; a developer's test job only at their own tenant's test miners."""
    live = await market.node.submit(market.client)
    tester = await market.actor("acme", Environment.TEST)
    test_miner = await market.actor("acme", Environment.TEST)
    strange_tester = await market.actor("rival", Environment.TEST)
    test = await market.node.submit(tester)
    for miner in (test_miner, strange_tester, market.strange_miner):
        await market.node.register(miner, concurrency=5)
    assert await market.node.poll(strange_tester) is None
    assert (await market.node.work(test_miner)).job_id == test.job_id
    assert (await market.node.work(market.strange_miner)).job_id == live.job_id
    assert await market.node.poll(test_miner) is None


async def test_a_lapsed_lease_returns_the_job_and_three_attempts_are_the_end(market: Market) -> None:
    """Without a heartbeat the job is queued again; after the third silent miner it is FAILED and says why."""
    node = market.node
    job = await node.submit(market.client, ttl_seconds=900)
    await node.register(market.miner)
    for attempt in (1, 2, 3):
        assert (await node.work(market.miner)).job_id == job.job_id
        await node.pass_time(LEASE_S - 1)
        assert (await node.jobs.get(market.client, job.job_id)).state == JobState.RUNNING
        await node.pass_time(1)
        seen = await node.jobs.get(market.client, job.job_id)
        assert seen.state == (JobState.FAILED if attempt == 3 else JobState.QUEUED)
        assert (seen.assigned_miner_id is None) == (attempt != 3)
    assert seen.error == "lease_lapsed: no miner reported back in 3 attempts"
    assert await node.poll(market.miner) is None


async def test_heartbeats_and_polls_keep_all_leases_of_the_miner(market: Market) -> None:
    """Each sign of life gives every lease of that miner its full time again, and those of no other miner."""
    node = market.node
    await node.register(market.miner, concurrency=2)
    await node.register(market.strange_miner)
    kept = [await node.submit(market.client), await node.submit(market.client)]
    for _ in kept:
        await node.work(market.miner)
    lost = await node.submit(market.client)
    await node.work(market.strange_miner)
    await node.pass_time(LEASE_S - 1)
    await node.beat(market.miner)
    await node.pass_time(LEASE_S - 1)
    assert await node.poll(market.miner) is None
    await node.pass_time(LEASE_S - 1)
    states = [(await node.jobs.get(market.client, job.job_id)).state for job in (*kept, lost)]
    assert states == [JobState.RUNNING, JobState.RUNNING, JobState.QUEUED]


async def test_a_late_heartbeat_does_not_revive_a_lapsed_lease(market: Market) -> None:
    """Once the time is over, it is over, also when no sweep has come yet; the late result is a conflict."""
    node = market.node
    job = await node.submit(market.client)
    await node.register(market.miner)
    await node.work(market.miner)
    market.clock.now_us += int(LEASE_S * 1_000_000)
    await node.beat(market.miner)
    assert await refused(node.finish(market.miner, job.job_id)) == Code.CONFLICT
    await node.sweeper.step()
    assert (await node.jobs.get(market.client, job.job_id)).state == JobState.QUEUED
    assert await refused(node.finish(market.miner, job.job_id)) == Code.CONFLICT


async def test_of_two_results_at_once_one_is_accepted(market: Market) -> None:
    """Exactly one, whichever node it comes to; the job keeps the result whose receipt was given."""
    other = market.other_node()
    await market.node.register(market.miner)
    for _ in range(5):
        job = await market.node.submit(market.client)
        await market.node.work(market.miner)
        calls: list[Any] = [
            market.node.finish(market.miner, job.job_id, by="one"),
            other.finish(market.miner, job.job_id, by="other"),
        ]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        accepted = [each for each in outcomes if not isinstance(each, BaseException)]
        lost = [each for each in outcomes if isinstance(each, DomainError)]
        assert (len(accepted), [each.code for each in lost]) == (1, [Code.CONFLICT])
        found = await market.node.jobs.result(market.client, job.job_id)
        assert found.receipt == accepted[0]
        assert found.result is not None
        assert leases.result_sha256(found.result) == accepted[0].result_sha256


async def test_only_the_holder_may_report(market: Market) -> None:
    """A key that never held the lease learns nothing of the job (404); one that lost it to another gets a conflict."""
    node = market.node
    job = await node.submit(market.client)
    await node.register(market.miner)
    await node.register(market.strange_miner)
    assert await refused(node.finish(market.miner, job.job_id)) == Code.NOT_FOUND
    await node.work(market.miner)
    assert await refused(node.finish(market.strange_miner, job.job_id)) == Code.NOT_FOUND
    assert await refused(node.give_up(market.strange_miner, job.job_id)) == Code.NOT_FOUND
    await node.pass_time(LEASE_S)
    await node.work(market.strange_miner)
    assert await refused(node.finish(market.miner, job.job_id)) == Code.CONFLICT
    await node.finish(market.strange_miner, job.job_id, ok=True)
    for miner in (market.miner, market.strange_miner):
        assert await refused(node.finish(miner, job.job_id)) == Code.CONFLICT
        assert await refused(node.give_up(miner, job.job_id)) == Code.CONFLICT
    for nonsense in ("job_0123456789ABCDEFGHIJ", "job_\x00", "x" * 5000):
        assert await refused(node.finish(market.miner, nonsense)) == Code.NOT_FOUND


async def test_a_failure_is_final_and_says_what_the_miner_said(market: Market) -> None:
    """FAILED with `error_code: error_message`; the job is not tried again."""
    node = market.node
    await node.register(market.miner)
    for message, error in (("needs 80 GB", "oom: needs 80 GB"), ("", "oom")):
        job = await node.submit(market.client)
        await node.work(market.miner)
        await node.give_up(market.miner, job.job_id, "oom", message)
        seen = await node.jobs.result(market.client, job.job_id)
        assert (seen.state, seen.error, seen.result, seen.receipt) == (JobState.FAILED, error, None, None)
        assert await node.poll(market.miner) is None


async def test_a_running_job_may_finish_after_its_ttl(market: Market) -> None:
    """The ttl bounds how long it waits for a miner. A lease that lapses after it ends the job as EXPIRED."""
    node = market.node
    await node.register(market.miner, concurrency=2)
    finished, lapsed = (
        await node.submit(market.client, ttl_seconds=30),
        await node.submit(market.client, ttl_seconds=30),
    )
    for _ in range(2):
        await node.work(market.miner)
    await node.pass_time(40)
    await node.finish(market.miner, finished.job_id)
    await node.pass_time(LEASE_S)
    assert (await node.jobs.get(market.client, finished.job_id)).state == JobState.COMPLETED
    assert (await node.jobs.get(market.client, lapsed.job_id)).state == JobState.EXPIRED
    assert await node.poll(market.miner) is None


async def test_many_nodes_may_sweep_at_once(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each lapsed lease counts one attempt and each job ends once, however many sweep, in portions or not."""
    monkeypatch.setattr("aitbc_server.jobs.sweeper._PORTION", 2)
    node = market.node
    await node.register(market.miner, concurrency=10)
    jobs = [await node.submit(market.client) for _ in range(5)]
    late = [await node.submit(market.client, ttl_seconds=10) for _ in range(5)]
    for _ in jobs:
        await node.work(market.miner)
    market.clock.now_us += int(LEASE_S * 1_000_000)
    await asyncio.gather(*(each.sweeper.step() for each in (node, market.other_node(), market.other_node())))
    await node.sweeper.step()
    states = [(await node.jobs.get(market.client, job.job_id)).state for job in (*jobs, *late)]
    assert states == [JobState.QUEUED] * 5 + [JobState.EXPIRED] * 5


async def test_a_row_that_another_node_sweeps_is_left_to_it(market: Market) -> None:
    """Two sweeps never work on one row: the second would undo a lease that was given after the first."""
    if market.database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    await market.node.register(market.miner)
    job = await market.node.submit(market.client)
    await market.node.work(market.miner)
    market.clock.now_us += int(LEASE_S * 1_000_000)
    async with market.database.write() as session:
        assert await sweeper._locked(session, sweeper._lapsed(market.clock.timestamp()))
        async with asyncio.timeout(5):
            await market.node.sweeper.step()
        assert (await market.node.jobs.get(market.client, job.job_id)).state == JobState.RUNNING
    await market.node.sweeper.step()
    assert (await market.node.jobs.get(market.client, job.job_id)).state == JobState.QUEUED


@pytest.mark.parametrize(
    ("result", "digest"),
    [
        ({}, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
        ({"b": 1, "a": [1.5, None, True]}, "c987ffa2d30c971dc497669112f77ecb5f56fb3fa25d1643ff3f8d61cce41d1e"),
        ({"ä": "€"}, "7f82d7dd952b16ac19aa9f58eed6a9400bb2545a0f6ee0373082c37ba8ba812c"),
    ],
)
def test_the_receipts_digest_can_be_computed_by_anybody(result: dict[str, Any], digest: str) -> None:
    """SHA-256 of the result as UTF-8 JSON, names sorted, no white space: what `sha256sum` gives for that text."""
    assert leases.result_sha256(result) == digest
