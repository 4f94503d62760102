"""Signs of life are written together, and a lease that was renewed in time never lapses for it. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from tests.jobs.market import LEASE_S, Market

from aitbc.schemas.jobs import JobState
from aitbc.schemas.miners import Heartbeat
from aitbc_server.clock import US_PER_S, Timestamp, from_ms
from aitbc_server.errors import Code, DomainError
from aitbc_server.jobs.model import JobRow
from aitbc_server.miners.model import MinerRow


class Writes:
    """Counts the write transactions of a market's database; may make them fail."""

    def __init__(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.fail = False
        write = market.database.write

        @asynccontextmanager
        async def counted() -> AsyncIterator[Any]:
            self.count += 1
            if self.fail:
                raise OperationalError("", {}, Exception("away"))
            async with write() as session:
                yield session

        monkeypatch.setattr(market.database, "write", counted)


@pytest.fixture
def writes(market: Market, monkeypatch: pytest.MonkeyPatch) -> Writes:
    return Writes(market, monkeypatch)


def step(market: Market, seconds: float) -> None:
    """Turn the clock, and let nobody know."""
    market.clock.now_us += int(seconds * US_PER_S)


def ends(market: Market, seconds: float = LEASE_S) -> Timestamp:
    """The end of a lease that was given or renewed now."""
    return from_ms((market.clock.now_us + int(seconds * US_PER_S)) // 1000)


async def stored_miner(market: Market, miner_id: str = "rig") -> MinerRow:
    """The miner as the database has it."""
    async with market.database.read() as session:
        return (await session.scalars(select(MinerRow).where(MinerRow.miner_id == miner_id))).one()


async def lease_end(market: Market, job_id: str) -> Timestamp | None:
    """The end of a job's lease as the database has it."""
    async with market.database.read() as session:
        return await session.scalar(select(JobRow.lease_expires_at).where(JobRow.id == job_id))


async def given(market: Market, *, concurrency: int = 2) -> str:
    """A registered miner "rig" and the id of the job that it runs."""
    await market.node.register(market.miner, "rig", concurrency=concurrency)
    await market.node.submit(market.client)
    return (await market.node.work(market.miner, "rig")).job_id


async def test_polls_that_find_nothing_share_one_write(market: Market, writes: Writes) -> None:
    """Fifty of them write nothing, until all of them are written down at once."""
    names = [f"rig-{number}" for number in range(50)]
    for name in names:
        await market.node.register(market.miner, name)
    step(market, 10)
    writes.count = 0
    assert await asyncio.gather(*(market.node.poll(market.miner, name) for name in names)) == [None] * 50
    assert writes.count == 0
    await market.node.presence.flush()
    assert writes.count == 1
    assert {(await stored_miner(market, name)).last_seen_at for name in names} == {ends(market, 0)}
    await market.node.presence.flush()
    assert writes.count == 1


async def test_heartbeats_at_once_share_their_writes(market: Market, writes: Writes) -> None:
    """Each is in the database when it is answered; fifty at once take a handful of transactions."""
    names = [f"rig-{number}" for number in range(50)]
    for name in names:
        await market.node.register(market.miner, name)
    step(market, 10)
    writes.count = 0
    beats = [
        market.node.miners.heartbeat(market.miner, name, Heartbeat(inflight=1, status="BUSY", metadata={"at": name}))
        for name in names
    ]
    await asyncio.gather(*beats)
    assert writes.count <= 5
    for name in names:
        row = await stored_miner(market, name)
        assert (row.last_seen_at, row.inflight, row.status) == (ends(market, 0), 1, "BUSY")
        assert row.status_metadata == {"at": name}


async def test_a_lease_is_renewed_when_the_heartbeat_is_answered(market: Market) -> None:
    """Nothing that happens to this process afterwards can take that back."""
    job_id = await given(market)
    step(market, LEASE_S - 1)
    await market.node.beat(market.miner, "rig")
    assert await lease_end(market, job_id) == ends(market)


async def test_a_poll_of_a_miner_with_a_job_renews_its_lease_before_it_waits(market: Market) -> None:
    """A miner that runs several jobs at once may send no heartbeats at all."""
    for concurrency in (2, 1):
        job_id = await given(market, concurrency=concurrency)
        step(market, LEASE_S - 1)
        assert await market.node.poll(market.miner, "rig") is None
        assert await lease_end(market, job_id) == ends(market)
        await market.node.finish(market.miner, job_id, "rig")


async def test_no_lease_lapses_while_its_renewal_waits_to_be_written(market: Market) -> None:
    """The sweep writes what miners said first; what came too late revives nothing."""
    job_id = await given(market)
    step(market, LEASE_S - 1)
    market.node.presence.seen(market.miner.kid or "", "rig")
    await market.node.pass_time(2)
    assert (await market.node.jobs.get(market.client, job_id)).state == JobState.RUNNING
    step(market, LEASE_S - 2)
    market.node.presence.seen(market.miner.kid or "", "rig")
    await market.node.pass_time(0)
    assert (await market.node.jobs.get(market.client, job_id)).state == JobState.QUEUED


async def test_the_list_shows_what_is_not_written_yet(market: Market) -> None:
    """Who polls is seen at once."""
    await market.node.register(market.miner, "rig")
    step(market, 10)
    await market.node.poll(market.miner, "rig")
    assert (await stored_miner(market)).last_seen_at < ends(market, 0)
    assert (await market.node.miners.list(market.client)).items[0].last_seen_at == ends(market, 0)


async def test_what_could_not_be_written_is_written_later(market: Market, writes: Writes) -> None:
    """The heartbeats are told 503, all from few tries; what they said is not forgotten."""
    job_id = await given(market)
    step(market, 10)
    writes.count, writes.fail = 0, True
    answers = await asyncio.gather(*(market.node.beat(market.miner, "rig") for _ in range(20)), return_exceptions=True)
    assert {answer.code for answer in answers if isinstance(answer, DomainError)} == {Code.UNAVAILABLE}
    assert len(answers) == 20
    # On a busy machine some come when the first try has failed already.
    assert writes.count <= 5
    writes.fail = False
    await market.node.presence.flush()
    assert await lease_end(market, job_id) == ends(market)


async def test_who_hangs_up_does_not_take_the_write_from_others(market: Market) -> None:
    """Two wait for one write; one of them is gone before it is done."""
    await market.node.register(market.miner, "rig")
    step(market, 10)
    leaver, stayer = (asyncio.create_task(market.node.beat(market.miner, "rig")) for _ in range(2))
    while market.node.presence._next_write is None:  # noqa: ASYNC110 - the moment at which both wait
        await asyncio.sleep(0)
    leaver.cancel()
    await stayer
    assert (await stored_miner(market)).last_seen_at == ends(market, 0)


async def test_a_stop_writes_what_is_left(market: Market) -> None:
    """Nothing that was noted is lost by it."""
    await market.node.register(market.miner, "rig")
    async with market.node.presence.running():
        step(market, 10)
        await market.node.poll(market.miner, "rig")
    assert (await stored_miner(market)).last_seen_at == ends(market, 0)


async def test_what_is_later_wins(market: Market) -> None:
    """A sign of life that is written late takes nothing back: not a newer one, nor a new registration."""
    await market.node.register(market.miner, "rig")
    step(market, 10)
    market.node.presence.seen(market.miner.kid or "", "rig", Heartbeat(inflight=7, status="BUSY"))
    step(market, 10)
    await market.node.register(market.miner, "rig")
    await market.node.presence.flush()
    row = await stored_miner(market)
    assert (row.last_seen_at, row.inflight, row.status) == (ends(market, 0), 0, "ONLINE")
