"""A miner leaves jobs of a type that it does not run to those that run it, as long as one of them is there."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql, sqlite
from tests.jobs.market import Market
from tests.miners.test_polling import start_poll, until_waiting

from aitbc.schemas.scopes import Environment
from aitbc_server.clock import US_PER_S
from aitbc_server.jobs import leases, waiting
from aitbc_server.jobs.matching import named_types
from aitbc_server.miners import others, views

COUNTS, ECHOES = {"types": ["text-statistics"]}, {"types": ["echo", 5]}
ECHO = {"type": "echo"}


def pass_by(market: Market, time: timedelta) -> None:
    """Turn the clock, without a sweep."""
    market.clock.now_us += int(time.total_seconds() * US_PER_S)


@pytest.mark.parametrize("environment", list(Environment))
async def test_a_job_goes_to_the_miner_that_runs_its_type(market: Market, environment: Environment) -> None:
    """Whoever asks first: a miner that would fail it for good does not get it while another one runs it."""
    node = market.node
    client, counter, echoer = [await market.actor("acme", environment) for _ in range(3)]
    await node.register(counter, capabilities=COUNTS)
    await node.register(echoer, capabilities=ECHOES)
    echo = await node.submit(client, ECHO)
    count = await node.submit(client, {"type": "text-statistics"})
    assert (await node.work(counter)).job_id == count.job_id
    assert await node.poll(counter, max_wait_s=0) is None
    assert (await node.work(echoer)).job_id == echo.job_id


@pytest.mark.parametrize("environment", list(Environment))
async def test_the_last_resort_is_who_cannot_run_it(market: Market, environment: Environment) -> None:
    """Where nobody who is online runs it, a job goes to anybody, who fails it and says what is missing (design 9)."""
    node = market.node
    client, counter, echoer = [await market.actor("acme", environment) for _ in range(3)]
    await node.register(counter, capabilities=COUNTS)
    first = await node.submit(client, ECHO)
    assert (await node.work(counter)).job_id == first.job_id
    await node.finish(counter, first.job_id)
    await node.register(echoer, capabilities=ECHOES)
    second = await node.submit(client, ECHO, ttl_seconds=3600)
    pass_by(market, others._KNOWN_FOR)
    assert await node.poll(counter) is None
    pass_by(market, views.ONLINE_FOR + timedelta(seconds=1))
    assert (await node.work(counter)).job_id == second.job_id


async def test_who_runs_the_type_must_fit_the_rest_too(market: Market) -> None:
    """A miner that may not have the job is nobody to leave it to: constraints, or another tenant's in test."""
    node = market.node
    client, counter, echoer = [await market.actor("acme", Environment.TEST) for _ in range(3)]
    stranger = await market.actor("rival", Environment.TEST)
    await node.register(counter, capabilities=COUNTS | {"models": ["m"]})
    await node.register(echoer, capabilities=ECHOES)
    job = await node.submit(client, ECHO, constraints={"models": ["m"]})
    assert (await node.work(counter)).job_id == job.job_id
    await node.finish(counter, job.job_id)
    await node.register(echoer)
    await node.register(stranger, capabilities=ECHOES)
    job = await node.submit(client, ECHO)
    assert (await node.work(counter)).job_id == job.job_id


async def test_miners_without_types_and_jobs_without_one_are_as_ever(market: Market) -> None:
    """Clients in the field say nothing of types: the oldest job goes to whoever asks."""
    node = market.node
    client, counter, echoer, plain = [await market.actor("acme", Environment.TEST) for _ in range(4)]
    for miner, capabilities in ((counter, COUNTS), (echoer, ECHOES), (plain, {"gpu": "RTX 4090"})):
        await node.register(miner, capabilities=capabilities)
    jobs = [await node.submit(client, ECHO)]
    pass_by(market, timedelta(seconds=1))
    jobs.append(await node.submit(client, {"a": 1}))
    assert (await node.work(plain)).job_id == jobs[0].job_id
    assert (await node.work(counter)).job_id == jobs[1].job_id
    for shape in ({}, {"types": "echo"}, {"types": {"echo": 1}}, {"types": None}):
        assert named_types(shape) == frozenset()


async def test_who_leaves_a_job_wakes_the_next(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wake-up is passed on: the job does not wait until the other miner looks by itself."""
    monkeypatch.setattr(waiting, "RECHECK_S", 60.0)
    node = market.node
    client, counter, echoer = [await market.actor("acme", Environment.TEST) for _ in range(3)]
    polls = []
    for miner, capabilities in ((counter, COUNTS), (echoer, ECHOES)):
        await node.register(miner, capabilities=capabilities)
        polls.append(start_poll(node, miner))
        await until_waiting(node, len(polls))
    job = await node.submit(client, ECHO)
    async with asyncio.timeout(5):
        assert (await polls[1]).job_id == job.job_id
    assert not polls[0].done()
    node.waiting.close()
    assert await polls[0] is None


async def test_a_type_is_read_once_and_by_the_primary_key(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payload may have a MiB: who looks again and again at a queue that is not for it does not read it again."""
    monkeypatch.setattr(others, "_REMEMBERED_JOBS", 2)
    read: list[str] = []
    types = leases.types

    def counted(job_ids: Any) -> Any:
        read.extend(job_ids)
        return types(job_ids)

    monkeypatch.setattr(leases, "types", counted)
    node = market.node
    client, counter, echoer = [await market.actor("acme", Environment.TEST) for _ in range(3)]
    await node.register(counter, capabilities=COUNTS)
    await node.register(echoer, capabilities=ECHOES)
    jobs = [(await node.submit(client, ECHO)).job_id for _ in range(2)]
    for _ in range(3):
        assert await node.poll(counter) is None
    assert sorted(read) == sorted(jobs)
    await node.submit(client, ECHO)
    assert await node.poll(counter) is None
    assert (len(read), len(node.dispatch._others._types)) == (3, 2)
    is_sqlite = market.database.is_sqlite
    dialect = sqlite.dialect() if is_sqlite else postgresql.dialect()  # type: ignore[no-untyped-call]
    sql = str(types(jobs).compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    async with market.database.write() as session:
        if not is_sqlite:
            await session.execute(text("SET LOCAL enable_seqscan = off"))
        explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
        plan = "\n".join(str(row) for row in (await session.execute(text(explain + sql))).all())
    assert ("sqlite_autoindex_jobs_1" if is_sqlite else "pk_jobs") in plan, plan
