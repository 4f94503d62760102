"""What PostgreSQL is allowed to take, and what becomes of a connection that died; the one query of the quick way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import bindparam, literal, literal_column, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from aitbc_server.clock import system_clock
from aitbc_server.db.engine import Database, Tuning
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.point_reads import PointQuery
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import Code, DomainError
from aitbc_server.tenants.model import PlanRow

LIMIT_OF = PointQuery(
    select(PlanRow.id, PlanRow.limit_per_minute, literal("x").label("more")).where(PlanRow.id == bindparam("wanted"))
)


@pytest.fixture
async def tight(postgres_url: str) -> AsyncIterator[Database]:
    """PostgreSQL with little patience, and five connections."""
    database = Database(postgres_url, Tuning(connections=5, statement_timeout_s=0.3, lock_timeout_s=0.1))
    yield database
    await database.close()


def units_of(database: Database) -> UnitsOfWork:
    """Units of work on it."""
    return UnitsOfWork(database, LocalFences(lambda tenant_ids: None), system_clock)


async def test_a_statement_that_takes_too_long_is_unavailable_and_harms_no_other(tight: Database) -> None:
    """The client may try again; the connection goes on."""
    units = units_of(tight)
    with pytest.raises(DomainError) as refused:
        async with units.read() as session:
            await session.execute(text("SELECT pg_sleep(5)"))
    assert refused.value.code == Code.UNAVAILABLE
    async with units.read() as session:
        assert await session.scalar(text("SELECT 1")) == 1


async def test_a_lock_that_is_not_let_go_is_unavailable(tight: Database) -> None:
    """Nobody waits for a row for ever."""
    units = units_of(tight)
    locking = select(PlanRow).where(PlanRow.id == "free").with_for_update()
    async with units.begin() as first:
        await first.session.execute(locking)
        with pytest.raises(DomainError) as refused:
            async with units.begin() as second:
                await second.session.execute(locking)
    assert refused.value.code == Code.UNAVAILABLE


async def test_a_mistake_of_ours_stays_one(tight: Database) -> None:
    """Only what passes by itself is unavailable."""
    with pytest.raises(SQLAlchemyError):
        async with units_of(tight).read() as session:
            await session.execute(text("SELECT nonsense"))


async def test_connections_that_died_are_replaced_before_anybody_uses_them(tight: Database) -> None:
    """After a restart of the database no request fails for its pooled connections."""
    async with tight.read() as one, tight.read() as other:
        for session in (one, other):
            await session.execute(text("SELECT 1"))
    ends = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    async with tight.read() as session:
        await session.execute(ends)
    # What the server said on its way out is there with the next turns of the loop.
    await asyncio.sleep(0.1)
    for _ in range(3):
        async with tight.read() as one, tight.read() as other:
            assert await one.scalar(text("SELECT 1")) == await other.scalar(text("SELECT 1")) == 1
        assert (await tight.ask(LIMIT_OF, {"wanted": "pro"}))[0].limit_per_minute == 600


async def test_a_point_query_gives_rows_by_name(database: Database) -> None:
    """Constants of the query and parameters each find their place; another value, another answer."""
    [row] = await database.ask(LIMIT_OF, {"wanted": "pro"})
    assert (row.id, row.limit_per_minute, row.more) == ("pro", 600, "x")
    assert await database.ask(LIMIT_OF, {"wanted": "none"}) == []
    many: list[Any] = await asyncio.gather(*(database.ask(LIMIT_OF, {"wanted": "free"}) for _ in range(50)))
    assert {rows[0].limit_per_minute for rows in many} == {60}


async def test_a_point_query_sees_what_was_committed_before_it_began(database: Database) -> None:
    """No snapshot of an earlier one is kept."""
    for number in range(1, 4):
        async with database.write() as session:
            await session.execute(update(PlanRow).where(PlanRow.id == "pro").values(limit_per_minute=number))
            await session.commit()
        assert (await database.ask(LIMIT_OF, {"wanted": "pro"}))[0].limit_per_minute == number


async def test_whoever_gives_up_leaves_no_answer_to_others(database: Database) -> None:
    """A client may hang up at any moment of it."""
    for turns in range(8):
        asking = asyncio.create_task(database.ask(LIMIT_OF, {"wanted": "enterprise"}))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        assert (await database.ask(LIMIT_OF, {"wanted": "free"}))[0].id == "free"


async def test_a_point_query_that_cannot_be_answered_is_an_error_of_the_database(database: Database) -> None:
    """As with every other query: whoever asks turns it into 503."""
    broken = PointQuery(select(literal_column("nonsense").label("x")))
    with pytest.raises(SQLAlchemyError):
        await database.ask(broken, {})
