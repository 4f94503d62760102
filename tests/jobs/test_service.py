"""What a job's owner may do, on both databases."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.jobs.market import ROUTE, Market

from aitbc.schemas.jobs import JobState
from aitbc.schemas.scopes import Environment
from aitbc_server.clock import US_PER_S
from aitbc_server.errors import Code, DomainError

INVALID_JOBS: list[tuple[dict[str, Any], str]] = [
    ({}, "payload"),
    ({"ttl_seconds": 60}, "payload"),
    ({"payload": "text"}, "payload"),
    ({"payload": {}, "priority": 1}, "priority"),
    ({"payload": {}, "ttl_seconds": 0}, "ttl_seconds"),
    ({"payload": {}, "ttl_seconds": "900"}, "ttl_seconds"),
    ({"name": "x", "ttl_seconds": 10**9}, "ttl_seconds"),
    ({"name": "x", "constraints": {"gpus": 1}}, "constraints.gpus"),
    ({"name": "x", "constraints": {"min_vram_gb": "8"}}, "constraints.min_vram_gb"),
    ({"name": "x", "payment_amount": -1}, "payment_amount"),
    ({"name": "nul \x00"}, "name"),
    ({"payload": {"a": ["\ud800"]}}, "payload"),
    ({"x\x00": 1}, "body"),
]


def code_of(caught: pytest.ExceptionInfo[DomainError]) -> str:
    """The error's code."""
    return caught.value.code


async def test_the_short_form_is_the_payload_and_its_settings_are_taken_out(market: Market) -> None:
    """Without `payload`, all fields but the settings go to the miner; the settings are validated and kept."""
    body = {
        "name": "image-classification",
        "type": "ai-inference",
        "model": {"type": "python"},
        "constraints": {"region": "eu"},
        "ttl_seconds": 60,
        "payment_amount": 1.5,
        "payment_currency": "AITBC",
    }
    job = await market.node.jobs.create(market.client, body, route=ROUTE)
    assert (job.expires_at - job.requested_at).total_seconds() == 60
    await market.node.register(market.miner, region="eu")
    given = await market.node.work(market.miner)
    assert given.payload == {"name": "image-classification", "type": "ai-inference", "model": {"type": "python"}}
    assert given.constraints == {"region": "eu"}


async def test_a_job_that_is_not_valid_is_refused_with_the_fields_name(market: Market) -> None:
    """422 names the field, in both forms, and nothing is queued."""
    for body, field in INVALID_JOBS:
        with pytest.raises(DomainError) as caught:
            await market.node.jobs.create(market.client, body, route=ROUTE)
        assert code_of(caught) == Code.VALIDATION_ERROR
        assert [error.field for error in caught.value.errors] == [field]
    assert (await market.node.jobs.list(market.client)).items == []


async def test_an_idempotency_key_makes_one_job(market: Market) -> None:
    """The same key and body give the first job as it now stands. Another body is a conflict, another tenant is not."""
    jobs = market.node.jobs
    body = {"payload": {"a": 1, "b": 2}}
    first = await jobs.create(market.client, body, route=ROUTE, idempotency_key="k")
    await jobs.cancel(market.client, first.job_id)
    again = await jobs.create(market.client, {"payload": {"b": 2, "a": 1}}, route=ROUTE, idempotency_key="k")
    assert (again.job_id, again.state) == (first.job_id, JobState.CANCELED)
    with pytest.raises(DomainError) as caught:
        await jobs.create(market.client, {"payload": {"a": 3}}, route=ROUTE, idempotency_key="k")
    assert code_of(caught) == Code.CONFLICT
    other = await jobs.create(market.stranger, body, route=ROUTE, idempotency_key="k")
    assert other.job_id != first.job_id
    assert len((await jobs.list(market.client)).items) == 1


async def test_a_job_is_not_there_for_another_tenant_or_environment(market: Market) -> None:
    """Another's job and a job that never was raise the same error, in every call (ASVS 8.2.2)."""
    job = await market.node.submit(market.client)
    tester = await market.actor("acme", Environment.TEST)
    jobs = market.node.jobs
    for actor in (market.stranger, tester):
        for call in (jobs.get, jobs.result, jobs.cancel):
            for job_id in (job.job_id, "job_0123456789ABCDEFGHIJ", "nonsense", "job_\x00", "job_'", ""):
                with pytest.raises(DomainError) as caught:
                    await call(actor, job_id)
                assert (code_of(caught), caught.value.detail) == (Code.NOT_FOUND, "There is no such object.")
        assert (await jobs.list(actor)).items == []
    assert (await jobs.get(market.client, job.job_id)).state == JobState.QUEUED


async def test_a_list_is_newest_first_in_pages_that_never_repeat(market: Market) -> None:
    """Jobs of the same millisecond are neither shown twice nor left out, also while new ones come."""
    made = []
    for number in range(7):
        made.append((await market.node.submit(market.client)).job_id)
        market.clock.now_us += 500 * (number % 3)
    seen: list[str] = []
    cursor = None
    while True:
        page = await market.node.jobs.list(market.client, limit=2, cursor=cursor)
        seen += [job.job_id for job in page.items]
        await market.node.submit(market.client)
        market.clock.now_us += 1000
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(made)
    assert len(page.items) == 1
    times = [(await market.node.jobs.get(market.client, job_id)).requested_at for job_id in seen]
    assert times == sorted(times, reverse=True)


async def test_a_cursor_of_another_list_is_refused(market: Market) -> None:
    """A cursor is bound to its tenant and environment."""
    for _ in range(2):
        await market.node.submit(market.client)
    page = await market.node.jobs.list(market.client, limit=1)
    with pytest.raises(DomainError) as caught:
        await market.node.jobs.list(market.stranger, cursor=page.next_cursor)
    assert code_of(caught) == Code.BAD_REQUEST


async def test_a_list_is_filtered_by_state_and_time(market: Market) -> None:
    """`created_after` and `created_before` leave out the time itself; states are those of this moment."""
    first = await market.node.submit(market.client, ttl_seconds=1)
    at = market.clock.timestamp()
    market.clock.now_us += US_PER_S
    second = await market.node.submit(market.client)
    jobs = market.node.jobs

    async def ids(**filters: Any) -> list[str]:
        return [job.job_id for job in (await jobs.list(market.client, **filters)).items]

    assert await ids(created_after=at) == [second.job_id]
    assert await ids(created_before=market.clock.timestamp()) == [first.job_id]
    assert await ids(created_before=at) == []
    # The first has expired this very moment, and no sweep has come yet.
    assert await ids(state=JobState.QUEUED) == [second.job_id]
    assert await ids(state=JobState.EXPIRED) == [first.job_id]
    await market.node.sweeper.step()
    assert await ids(state=JobState.EXPIRED) == [first.job_id]
    assert await ids(state=JobState.RUNNING) == []


async def test_expiry_shows_at_once(market: Market) -> None:
    """From its very moment on a queued job is EXPIRED for everybody: owners see it, miners are not given it."""
    job = await market.node.submit(market.client, ttl_seconds=5)
    await market.node.register(market.miner)
    market.clock.now_us += 5 * US_PER_S - 1000
    assert (await market.node.jobs.get(market.client, job.job_id)).state == JobState.QUEUED
    market.clock.now_us += 1000
    assert (await market.node.jobs.get(market.client, job.job_id)).state == JobState.EXPIRED
    assert (await market.node.jobs.result(market.client, job.job_id)).result is None
    assert await market.node.poll(market.miner) is None
    with pytest.raises(DomainError) as caught:
        await market.node.jobs.cancel(market.client, job.job_id)
    assert code_of(caught) == Code.CONFLICT
    await market.node.sweeper.step()
    assert (await market.node.jobs.get(market.client, job.job_id)).state == JobState.EXPIRED


async def test_the_result_is_there_once_the_job_is_final(market: Market) -> None:
    """`not_ready` while it is queued or running, then the result with the miner's receipt."""
    node = market.node
    job = await node.submit(market.client)
    await node.register(market.miner, "rig-1")
    for _ in range(2):
        with pytest.raises(DomainError) as caught:
            await node.jobs.result(market.client, job.job_id)
        assert code_of(caught) == Code.NOT_READY
        await node.poll(market.miner)
    receipt = await node.finish(market.miner, job.job_id, words=6)
    found = await node.jobs.result(market.client, job.job_id)
    assert (found.state, found.result, found.error, found.receipt) == (JobState.COMPLETED, {"words": 6}, None, receipt)
    assert (await node.jobs.get(market.client, job.job_id)).assigned_miner_id == "rig-1"


async def test_cancelling_is_final_and_the_miners_result_comes_too_late(market: Market) -> None:
    """A queued and a running job are CANCELED at once; a second time is a conflict, and so is the miner's result."""
    node = market.node
    await node.register(market.miner)
    running = await node.submit(market.client)
    await node.work(market.miner)
    queued = await node.submit(market.client)
    for job in (running, queued):
        assert (await node.jobs.cancel(market.client, job.job_id)).state == JobState.CANCELED
        with pytest.raises(DomainError) as caught:
            await node.jobs.cancel(market.client, job.job_id)
        assert code_of(caught) == Code.CONFLICT
    with pytest.raises(DomainError) as caught:
        await node.finish(market.miner, running.job_id)
    assert code_of(caught) == Code.CONFLICT
    assert await node.poll(market.miner) is None
    assert (await node.jobs.result(market.client, running.job_id)).result is None


async def test_of_a_cancel_and_a_result_at_once_one_wins(market: Market) -> None:
    """The loser gets a conflict, and the job is what the winner said."""
    node = market.node
    await node.register(market.miner, concurrency=20)
    for _ in range(8):
        job = await node.submit(market.client)
        await node.work(market.miner)
        calls: list[Any] = [node.jobs.cancel(market.client, job.job_id), node.finish(market.miner, job.job_id)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        state = (await node.jobs.get(market.client, job.job_id)).state
        lost, won = reversed(outcomes) if state is JobState.CANCELED else outcomes
        assert isinstance(lost, DomainError)
        assert lost.code == Code.CONFLICT
        assert not isinstance(won, BaseException)
