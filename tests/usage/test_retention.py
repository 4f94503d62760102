"""Minutes, hours and days are kept as long as they shall be, and what is deleted stays in the sums."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import event, text
from tests.usage.counts import NOW_MINUTE_MS, NOW_MS, Asker, Counts, Kind, drain, expected, stored, upkeep
from tests.usage.world import World

from aitbc.schemas.usage import Granularity
from aitbc_server.db import migrate
from aitbc_server.db.engine import Database
from aitbc_server.settings import SettingError, Settings
from aitbc_server.usage import partitions, purging
from aitbc_server.usage.levels import DAY_MS, HOUR_MS, MINUTE_MS, Level, Retention

RETENTION = Retention(2, 4, 6)
TODAY = NOW_MINUTE_MS - NOW_MINUTE_MS % DAY_MS


def daily(days: int) -> Counts:
    """A count in each day: 1 today, 2 yesterday, and so on."""
    return Counts({Kind(NOW_MINUTE_MS - day * DAY_MS): day + 1 for day in range(days)})


async def days_of(database: Database, level: Level) -> dict[int, int]:
    """What a table has, by how many days ago."""
    rows = await stored(database, level)
    return {(TODAY - start_ms + DAY_MS - 1) // DAY_MS: count for (_, start_ms), count in rows.items()}


async def partitions_of(database: Database) -> dict[str, bool]:
    """The names of the days that have a table of their own, and whether that is a part of the table of minutes."""
    async with database.read() as session:
        return dict(await partitions._partitions(session))


def only_with_partitions(database: Database) -> None:
    """Skip where a table has no partitions."""
    if database.is_sqlite:
        pytest.skip("SQLite has no partitions")


async def test_each_level_is_kept_as_long_as_it_shall_be(world: World) -> None:
    """Whole days are deleted, and a question is answered from what is there: by the day, a year back."""
    await world.add_tenant("acme")
    counts = daily(10)
    await drain(world.database, counts)
    keeper = upkeep(world.database, retention=RETENTION)
    await keeper.sum_up()
    await keeper.purge()
    assert set(await days_of(world.database, Level.MINUTE)) == {0, 1, 2}
    assert set(await days_of(world.database, Level.HOUR)) == {1, 2, 3, 4}
    assert await days_of(world.database, Level.DAY) == {day: day + 1 for day in range(1, 7)}
    asker = Asker(world, RETENTION)
    for granularity, kept in ((Granularity.DAY, 7), (Granularity.HOUR, 5), (Granularity.MINUTE, 3)):
        wanted = granularity, TODAY - 12 * DAY_MS, TODAY + DAY_MS
        assert await asker.answer(*wanted) == expected(list(counts.items())[:kept], *wanted)


async def test_nothing_is_deleted_that_is_in_no_sum(world: World) -> None:
    """Nobody has summed up for long: what is to be deleted is summed up first."""
    await world.add_tenant("acme")
    counts = daily(10)
    await drain(world.database, counts)
    keeper = upkeep(world.database, retention=RETENTION._replace(hours_days=3, days_days=None))
    await keeper.purge()
    await keeper.sum_up()
    assert set(await days_of(world.database, Level.MINUTE)) == {0, 1, 2}
    assert await days_of(world.database, Level.DAY) == {day: day + 1 for day in range(1, 10)}
    wanted = Granularity.DAY, TODAY - 12 * DAY_MS, TODAY + DAY_MS
    assert await Asker(world, RETENTION).answer(*wanted) == expected(counts.items(), *wanted)


async def test_a_count_that_comes_after_its_minutes_are_gone_is_added_once(world: World) -> None:
    """A server that was off for a week still has a journal: its run is added to the sums, however often it is read."""
    await world.add_tenant("acme")
    a_week_ago = Kind(NOW_MINUTE_MS - 7 * DAY_MS)
    counts = daily(8) | Counts({a_week_ago._replace(minute_ms=a_week_ago.minute_ms - MINUTE_MS): 100})
    await drain(world.database, counts)
    keeper = upkeep(world.database, retention=RETENTION._replace(hours_days=6, days_days=None))
    await keeper.sum_up()
    await keeper.purge()
    late = Counts({Kind(NOW_MINUTE_MS - 5 * DAY_MS, source="run_2"): 40, a_week_ago: 8})
    expected_days = {day: day + 1 for day in range(1, 8)}
    expected_days[5] += 40
    # What is read again is less than what was there of its hour.
    expected_days[7] += 100
    for _ in range(2):
        await drain(world.database, late)
        await keeper.purge()
        await keeper.sum_up()
        assert await days_of(world.database, Level.DAY) == expected_days
    assert set(await days_of(world.database, Level.MINUTE)) == {0, 1, 2}


async def test_what_another_node_is_reading_stays_for_an_hour(database: Database) -> None:
    """Clocks of nodes differ a little: what has just become too old is deleted an hour later."""
    await drain(database, Counts({Kind(TODAY - 2 * DAY_MS): 1}))
    await drain(database, Counts({Kind(TODAY - 2 * DAY_MS): 1, Kind(TODAY): 1}))
    await upkeep(database, TODAY + DAY_MS + HOUR_MS - MINUTE_MS, RETENTION).purge()
    assert set(await days_of(database, Level.MINUTE)) == {0, 2}


async def test_each_day_has_a_table_of_its_own(world: World) -> None:
    """On PostgreSQL, made before anybody counts in it; to delete the day is to drop the table."""
    database = world.database
    only_with_partitions(database)
    await world.add_tenant("acme")
    for day in range(6):
        now_ms = NOW_MS + day * DAY_MS
        keeper = upkeep(database, now_ms, RETENTION)
        await keeper.purge()
        await drain(database, Counts({Kind(NOW_MINUTE_MS + day * DAY_MS): day + 1}))
        await keeper.sum_up()
    there = await partitions_of(database)
    assert set(there) >= {f"usage_minutes_d202611{day}" for day in (27, 28, 29, 30)}
    assert not {"usage_minutes_d20261124", "usage_minutes_d20261126"} & set(there)
    assert set(there.values()) == {True}
    async with database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM usage_minutes_default")) == 0
    assert await stored(database, Level.DAY) == {("acme", TODAY + day * DAY_MS): day + 1 for day in range(5)}


async def test_nodes_that_start_and_delete_at_once_do_it_once(database: Database) -> None:
    """A fleet starts as one: days are made and dropped by one of its nodes, and no other one fails or waits."""
    only_with_partitions(database)
    for day in (0, 5):
        keepers = [upkeep(database, NOW_MS + day * DAY_MS, RETENTION) for _ in range(4)]
        await asyncio.gather(*(keeper.purge() for keeper in keepers))
        await drain(database, Counts({Kind(NOW_MINUTE_MS + day * DAY_MS): 3}))
    await upkeep(database, NOW_MS + 7 * DAY_MS, RETENTION).sum_up()
    assert "usage_minutes_d20261124" not in await partitions_of(database)
    assert await stored(database, Level.DAY) == {("acme", TODAY): 3, ("acme", TODAY + 5 * DAY_MS): 3}


async def test_a_crash_while_a_day_is_dropped_loses_nothing(database: Database) -> None:
    """Its table lies aside then, and all of it is in the sums; the next one who deletes goes on there."""
    only_with_partitions(database)
    await upkeep(database, NOW_MS, RETENTION).purge()
    await drain(database, Counts({Kind(NOW_MINUTE_MS): 5, Kind(NOW_MINUTE_MS, tenant_id="globex"): 3}))
    async with database.write() as session:
        await partitions.take_out(session, partitions.Partition("usage_minutes_d20261124", True))
        await session.commit()
    # Who sums up before the next one deletes finds the marks, and no minutes.
    await upkeep(database, NOW_MS + DAY_MS, RETENTION).sum_up()
    # Who stores more of that day meanwhile has a place for it.
    await drain(database, Counts({Kind(NOW_MINUTE_MS, source="run_2"): 2}))
    later = upkeep(database, NOW_MS + 4 * DAY_MS, RETENTION)
    for _ in range(2):
        await later.purge()
        await later.sum_up()
        assert "usage_minutes_d20261124" not in await partitions_of(database)
        assert await stored(database, Level.DAY) == {("acme", TODAY): 7, ("globex", TODAY): 3}


async def test_a_day_that_is_summed_up_is_dropped_without_reading_it(database: Database) -> None:
    """However much a day has, to drop it takes as long as its marks say, and no statement of it is limited in time."""
    only_with_partitions(database)
    await upkeep(database, NOW_MS, RETENTION).purge()
    await drain(database, Counts({Kind(NOW_MINUTE_MS): 5}))
    await upkeep(database, NOW_MS + 2 * DAY_MS, RETENTION).sum_up()
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(database.writer.sync_engine, "before_cursor_execute", note)
    await partitions.drop_before(database, TODAY + DAY_MS)
    assert "DROP TABLE usage_minutes_d20261124" in statements
    assert not [each for each in statements if "FROM usage_minutes" in each]
    changing = [number for number, each in enumerate(statements) if each.startswith(("ALTER", "DROP"))]
    limits = [number for number, each in enumerate(statements) if each == "SET LOCAL statement_timeout = 0"]
    assert len(limits) == len(changing) == 2
    assert limits[0] < changing[0] < limits[1] < changing[1]


async def test_old_counts_are_found_however_many_tenants_there_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tenants are looked at some at a time, and none is left out, whoever has something to delete."""
    monkeypatch.setattr(purging, "TENANTS_A_STATEMENT", 2)
    names = ["ant", "bee", "cat", "dog", "eel", "fox"]
    for name in names:
        await world.add_tenant(name)
    old = NOW_MINUTE_MS - 20 * DAY_MS
    await drain(world.database, Counts({Kind(old, tenant_id=name): 1 for name in ("bee", "cat", "fox")}))
    await purging.purge(world.database, Level.MINUTE, TODAY)
    assert await stored(world.database, Level.MINUTE) == {}
    assert {tenant for tenant, _ in await stored(world.database, Level.HOUR)} == {"bee", "cat", "fox"}


async def test_a_day_that_began_without_its_table_ends_so(database: Database) -> None:
    """Counts that were stored before the first start of this release keep their place."""
    only_with_partitions(database)
    in_ten_days = NOW_MS + 10 * DAY_MS
    await drain(database, Counts({Kind(NOW_MINUTE_MS + 10 * DAY_MS): 5}))
    await upkeep(database, in_ten_days, RETENTION).purge()
    there = await partitions_of(database)
    assert "usage_minutes_d20261204" not in there
    assert "usage_minutes_d20261205" in there


async def test_migrations_keep_minutes_in_partitions_and_out_of_them(database: Database) -> None:
    """Back to the release before and forth again, with counts in several days: none is lost."""
    await upkeep(database, NOW_MS, RETENTION).purge()
    counts = Counts({Kind(NOW_MINUTE_MS + day * DAY_MS): day + 1 for day in range(-3, 4)})
    await drain(database, counts)
    before = await stored(database, Level.MINUTE)
    await migrate.downgrade(database, "0004")
    await migrate.upgrade(database)
    assert await stored(database, Level.MINUTE) == before
    await upkeep(database, NOW_MS + 9 * DAY_MS, Retention(30, 90, None)).sum_up()
    assert sum((await stored(database, Level.DAY)).values()) == sum(counts.values())


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"MINUTES": "100"}, "AITBC_USAGE_HOURS_KEPT_DAYS: expected no less than AITBC_USAGE_MINUTES_KEPT_DAYS"),
        ({"DAYS": "30"}, "AITBC_USAGE_DAYS_KEPT_DAYS: expected no less than AITBC_USAGE_HOURS_KEPT_DAYS, which is 90"),
        ({"DAYS": "never"}, "AITBC_USAGE_DAYS_KEPT_DAYS: expected a whole number of days from 1 to 36500, or forever"),
        ({"MINUTES": "0"}, "AITBC_USAGE_MINUTES_KEPT_DAYS: expected a whole number of days"),
    ],
)
def test_a_sum_is_kept_no_shorter_than_what_it_is_of(given: dict[str, str], problem: str) -> None:
    """Otherwise an answer would have holes; the message says which setting is too small."""
    with pytest.raises(SettingError) as raised:
        Settings.from_env({f"AITBC_USAGE_{name}_KEPT_DAYS": value for name, value in given.items()})
    [line] = raised.value.problems
    assert line.startswith(problem)


def test_days_are_kept_for_ever_unless_said_otherwise() -> None:
    """The settings as they are, and all of them set."""
    assert Settings.from_env({}).usage_retention == Retention(7, 90, None)
    values = {"AITBC_USAGE_MINUTES_KEPT_DAYS": "31", "AITBC_USAGE_DAYS_KEPT_DAYS": "731"}
    assert Settings.from_env(values).usage_retention == Retention(31, 90, 731)
    assert Settings.from_env({"AITBC_USAGE_DAYS_KEPT_DAYS": "forever"}).usage_retention.days_days is None
