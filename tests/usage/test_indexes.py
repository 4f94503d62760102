"""How databases find usage: by an index, and of the days that were asked for alone."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event, text
from tests.usage.counts import NOW_MINUTE_MS, NOW_MS, Asker, Counts, Kind, drain, random_counts, upkeep
from tests.usage.world import RETENTION, World

from aitbc.schemas.scopes import Environment, Scope
from aitbc.schemas.usage import Granularity
from aitbc_server.actor import Actor
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.usage.activity import UsageActivity
from aitbc_server.usage.levels import DAY_MS, HOUR_MS, MINUTE_MS, floor


@contextmanager
def asked(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The statements about usage that are sent meanwhile, with what they are about."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if "usage_" in statement:
            statements.append((statement, values))

    engine = database._reader.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def plans(database: Database, statements: list[tuple[str, Any]]) -> list[str]:
    """What the database says that it will do."""
    found = []
    explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
    async with database.write() as session:
        await session.execute(text("ANALYZE"))
        if not database.is_sqlite:
            # The question is which index fits, not from how many rows on it pays.
            await session.execute(text("SET LOCAL enable_seqscan = off"))
        connection = await session.connection()
        for statement, values in statements:
            # Values that are left out are told by their casts alone, and no days of a table can be left out then.
            sql = _with_values(statement, values) if not database.is_sqlite else statement
            rows = await connection.exec_driver_sql(explain + sql, () if sql != statement else values)
            found.append("\n".join(str(row) for row in rows.all()))
    return found


def _with_values(statement: str, values: Any) -> str:
    def literal(match: re.Match[str]) -> str:
        value = values[int(match.group(1)) - 1]
        # Joined, because a member of an enum is not written as what it is.
        return f"'{''.join(value)}'" if isinstance(value, str) else str(value)

    return re.sub(r"\$(\d+)", literal, statement)


async def test_every_question_about_usage_finds_its_rows_by_an_index(world: World) -> None:
    """Charts of each length and the refusals of a key: no table is read as a whole."""
    await world.add_tenant("acme")
    key = await world.add_key("acme")
    others = {Kind(NOW_MINUTE_MS - n % 2 * HOUR_MS, tenant_id=f"tenant-{n}"): 1 for n in range(100)}
    await drain(world.database, random_counts(random.Random(1), 300) | Counts(others))
    await upkeep(world.database).sum_up()
    asker, counter = Asker(world), UsageCounter()
    activity = UsageActivity(UnitsOfWork(world.database, LocalFences(lambda _: None), world.clock), counter, RETENTION)
    reader = Actor(
        type="user",
        id="usr_1",
        name="Ada",
        tenant_id="acme",
        scopes=frozenset({Scope.USAGE_READ}),
        environment=Environment.LIVE,
    )
    with asked(world.database) as statements:
        for granularity, from_ms in (
            (Granularity.MINUTE, NOW_MINUTE_MS - HOUR_MS),
            (Granularity.HOUR, floor(NOW_MS, HOUR_MS) - 23 * HOUR_MS),
            (Granularity.DAY, floor(NOW_MS, DAY_MS) - 29 * DAY_MS),
        ):
            await asker.answer(granularity, from_ms, NOW_MINUTE_MS + MINUTE_MS)
        await activity.days(reader, [key.id])
        await activity.recent_refusals(reader, key.id)
    assert len(statements) >= 15
    found = dict(zip([statement for statement, _ in statements], await plans(world.database, statements), strict=True))
    for statement, plan in found.items():
        assert not re.search("SCAN usage_|Seq Scan on usage_", plan), f"{statement}\n{plan}"
    # Each partition's index has a name of its own.
    index = "ix_usage_minutes_refused" if world.database.is_sqlite else "_minute_kid_idx"
    refused = [plan for statement, plan in found.items() if "!= 'allowed'" in statement]
    assert refused
    assert all(index in plan for plan in refused), refused


async def test_a_question_of_today_opens_no_other_days_table(world: World) -> None:
    """On PostgreSQL, the last hour's chart reads the partition of today (and the default one, which has none)."""
    database = world.database
    if database.is_sqlite:
        return
    await world.add_tenant("acme")
    await upkeep(database).purge()
    await drain(database, Counts({Kind(NOW_MINUTE_MS + day * DAY_MS): 1 for day in range(3)}))
    with asked(database) as statements:
        await Asker(world).answer(Granularity.MINUTE, NOW_MINUTE_MS - HOUR_MS, NOW_MINUTE_MS + MINUTE_MS)
    for plan in await plans(database, statements):
        assert set(re.findall(r"usage_minutes_d\d{8}", plan)) == {"usage_minutes_d20261124"}
