"""Hours and days: always what the minutes say, whoever stores and sums up, in whatever order, however often."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter

import pytest
from tests.usage.counts import (
    NOW_MINUTE_MS,
    NOW_MS,
    Asker,
    Counts,
    Kind,
    drain,
    expected,
    marked,
    random_counts,
    rows_of,
    stored,
    upkeep,
)
from tests.usage.world import World

from aitbc.schemas.usage import Granularity
from aitbc_server.db.engine import Database
from aitbc_server.usage import repository
from aitbc_server.usage.levels import DAY_MS, HOUR_MS, MINUTE_MS, Level, floor

FULL = os.environ.get("AITBC_FULL") == "1"
HOUR_AGO = NOW_MINUTE_MS - NOW_MINUTE_MS % HOUR_MS - HOUR_MS
TODAY = NOW_MINUTE_MS - NOW_MINUTE_MS % DAY_MS


async def assert_exact(world: World, counts: Counts, chance: random.Random) -> None:
    """Each granularity, over ranges that end anywhere."""
    asker = Asker(world)
    for granularity in Granularity:
        for from_ms in (TODAY - 3 * DAY_MS, NOW_MINUTE_MS - chance.randrange(1, 3 * 1440) * MINUTE_MS):
            wanted = granularity, from_ms, NOW_MINUTE_MS + chance.choice([1, 60]) * MINUTE_MS
            assert await asker.answer(*wanted) == expected(counts.items(), *wanted)


async def test_answers_are_those_of_the_minutes_at_every_step(world: World) -> None:
    """Before and after sums are made, with counts that rise and that come late, read as often as one likes."""
    chance = random.Random(11)
    counts = random_counts(chance, 80)
    await drain(world.database, counts)
    await assert_exact(world, counts, chance)
    for _ in range(3 if FULL else 1):
        await upkeep(world.database).sum_up()
        await assert_exact(world, counts, chance)
        more = {kind: count + chance.randint(0, 3) for kind, count in counts.items() if chance.random() < 0.3}
        counts.update(random_counts(chance, 10))
        for kind, count in more.items():
            counts[kind] = max(count, counts[kind])
        await drain(world.database, counts)
        await assert_exact(world, counts, chance)


async def test_only_what_goes_on_is_left_to_the_minutes(database: Database) -> None:
    """An hour is summed up three minutes after its end, a day after its last hour; what is summed up has no mark."""
    await drain(database, Counts({Kind(HOUR_AGO - DAY_MS): 2, Kind(HOUR_AGO): 3, Kind(NOW_MINUTE_MS): 4}))
    assert {width for width, _ in await marked(database)} == {"hour"}
    await upkeep(database, HOUR_AGO + HOUR_MS + MINUTE_MS).sum_up()
    assert ("hour", HOUR_AGO) in await marked(database)
    await upkeep(database).sum_up()
    assert await marked(database) == {("hour", HOUR_AGO + HOUR_MS), ("day", TODAY)}
    assert await stored(database, Level.HOUR) == {("acme", HOUR_AGO - DAY_MS): 2, ("acme", HOUR_AGO): 3}
    assert await stored(database, Level.DAY) == {("acme", TODAY - DAY_MS): 2}
    await upkeep(database, NOW_MS + DAY_MS).sum_up()
    assert await marked(database) == set()
    assert await stored(database, Level.DAY) == {("acme", TODAY - DAY_MS): 2, ("acme", TODAY): 7}


async def test_a_late_count_changes_the_sums_of_its_hour_and_day(database: Database) -> None:
    """What a journal or a store still had is added once, and a number that is read again is not."""
    early = Kind(HOUR_AGO - 2 * DAY_MS)
    counts = Counts({early: 2})
    for late, total in ((Kind(HOUR_AGO - 2 * DAY_MS + MINUTE_MS, source="run_2"), 7), (early, 8)):
        await drain(database, counts)
        await upkeep(database).sum_up()
        counts[late] += 1 if late is early else 5
        for _ in range(2):
            await drain(database, counts)
            await upkeep(database).sum_up()
        assert set((await stored(database, Level.HOUR)).values()) == {total}
        assert set((await stored(database, Level.DAY)).values()) == {total}


async def test_whoever_sums_up_waits_for_whoever_stores(database: Database) -> None:
    """A sum that is made while counts are on their way has them: on PostgreSQL the two meet at the mark."""
    if database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    await drain(database, Counts({Kind(HOUR_AGO): 1}))
    async with database.write() as storing:
        await repository.raise_counts(storing, rows_of(Counts({Kind(HOUR_AGO): 5})))
        summed = asyncio.create_task(upkeep(database).sum_up())
        await asyncio.sleep(0.3)
        assert not summed.done()
        await storing.commit()
    await summed
    assert await stored(database, Level.HOUR) == {("acme", HOUR_AGO): 5}


async def test_nodes_that_drain_and_sum_up_at_once_agree(world: World) -> None:
    """The same counts read at different moments by several nodes, while others sum up: no deadlock, nothing twice.

    Idempotence of the drain (goal A4), with the sums of hours and days.
    """
    chance = random.Random(3)
    final = random_counts(chance, 400 if FULL else 60, days=1)
    for kind in list(final):
        final[kind._replace(tenant_id=f"tenant-{chance.randrange(4)}")] = final[kind]

    async def node() -> None:
        for _ in range(20 if FULL else 4):
            read = Counts({kind: chance.randint(1, count) for kind, count in final.items() if chance.random() < 0.8})
            await drain(world.database, dict(chance.sample(list(read.items()), len(read))))
            await asyncio.sleep(0)
        await drain(world.database, final)

    async def sums() -> None:
        for _ in range(40 if FULL else 10):
            await upkeep(world.database, NOW_MS + 2 * DAY_MS).sum_up()
            await asyncio.sleep(0.005)

    await asyncio.gather(node(), node(), node(), sums(), sums())
    await upkeep(world.database, NOW_MS + 2 * DAY_MS).sum_up()
    assert await marked(world.database) == set()
    for level in Level:
        sums_of = Counter[tuple[str, int]]()
        for kind, count in final.items():
            sums_of[kind.tenant_id, floor(kind.minute_ms, level.width_ms)] += count
        assert await stored(world.database, level) == sums_of
    await assert_exact(world, final, chance)
