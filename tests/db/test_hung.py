"""PostgreSQL hangs: nobody waits for it without end, and what was not answered is nobody else's answer."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import bindparam, select, text, update
from tests.support.postgres_process import PostgresProcess

from aitbc_server.clock import system_clock
from aitbc_server.db import engine
from aitbc_server.db.engine import ANSWER_S, Database, Tuning
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.point_reads import PointQuery, PostgresPointReads
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import Code, DomainError
from aitbc_server.health import Readiness
from aitbc_server.serving.presence import holding
from aitbc_server.stopping import Stopping
from aitbc_server.tenants.model import PlanRow

CONNECTIONS = 5
#: The longest of what one can meet with: to begin a transaction, or to open a connection, and to close an old one.
BOUNDED_S = 10.0
LIMIT_OF = PointQuery(select(PlanRow.limit_per_minute).where(PlanRow.id == bindparam("wanted")))


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresProcess]:
    """A server that may be made to hang."""
    with tempfile.TemporaryDirectory(prefix="aitbc-postgres-") as folder:
        server = PostgresProcess(Path(folder) / "data")
        yield server
        server.close()


@pytest.fixture
async def database(postgres: PostgresProcess) -> AsyncIterator[Database]:
    """It, with connections that are open already."""
    database = Database(postgres.sqlalchemy_url, Tuning(connections=CONNECTIONS, statement_timeout_s=1))
    async with database.read() as one, database.read() as other:
        for session in (one, other):
            await session.execute(text("SELECT 1"))
    yield database
    postgres.go_on()
    await database.close()


@pytest.fixture
def units(database: Database) -> UnitsOfWork:
    """Units of work on it."""
    return UnitsOfWork(database, LocalFences(lambda tenant_ids: None), system_clock)


async def refused(work: Callable[[], Awaitable[object]]) -> tuple[DomainError, float]:
    """How it was refused, and how long that took."""
    began_s = time.monotonic()
    with pytest.raises(DomainError) as error:
        await work()
    assert error.value.code == Code.UNAVAILABLE
    return error.value, time.monotonic() - began_s


async def limit(units: UnitsOfWork) -> int | None:
    """What the database says now."""
    async with units.read() as session:
        return await session.scalar(select(PlanRow.limit_per_minute).where(PlanRow.id == "pro"))


async def test_a_lookup_ends_soon(postgres: PostgresProcess, database: Database) -> None:
    """On an open connection, on a new one, and where none is free; as many as there are."""
    postgres.hang()
    for _ in range(2):
        began_s = time.monotonic()
        asking = (database.ask(LIMIT_OF, {"wanted": "pro"}) for _ in range(2 * CONNECTIONS))
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(answer) for answer in answers} == {TimeoutError}
        assert time.monotonic() - began_s < ANSWER_S + 2
    postgres.go_on()
    assert (await database.ask(LIMIT_OF, {"wanted": "pro"}))[0].limit_per_minute == 600


async def test_a_node_that_was_held_up_itself_reads_what_has_arrived(database: Database) -> None:
    """It does not take the database for hung."""
    reads = PostgresPointReads(database.reader, answer_s=0.2)
    asking = asyncio.create_task(reads.ask(LIMIT_OF, {"wanted": "pro"}))
    # The question is on its way within some turns.
    for _ in range(10):
        await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251 -- it is what is tested
    assert (await asking)[0].limit_per_minute == 600


async def test_readiness_ends_soon(postgres: PostgresProcess, database: Database) -> None:
    """A load balancer hears of it, and again when it is over."""
    readiness = Readiness(database, Stopping())
    postgres.hang()
    error, took_s = await refused(readiness.check)
    assert error.detail == "The database does not answer."
    assert took_s < ANSWER_S + 1
    postgres.go_on()
    assert (await readiness.check()).details == {"database": "up"}


async def test_a_pool_of_connections_that_are_all_stuck(postgres: PostgresProcess, units: UnitsOfWork) -> None:
    """More requests than connections: each has its answer, however they are stuck, and the pool is whole afterwards."""
    postgres.hang()
    began_s = time.monotonic()
    answers = await asyncio.gather(*(limit(units) for _ in range(3 * CONNECTIONS)), return_exceptions=True)
    assert {getattr(answer, "code", answer) for answer in answers} == {Code.UNAVAILABLE}
    assert time.monotonic() - began_s < BOUNDED_S + engine.POOL_TIMEOUT_S
    postgres.go_on()
    assert await asyncio.gather(*(limit(units) for _ in range(3 * CONNECTIONS))) == [600] * 3 * CONNECTIONS


async def test_a_statement_that_is_under_way_ends_after_the_servers_own_time(
    postgres: PostgresProcess, units: UnitsOfWork
) -> None:
    """And the answer that comes too late is nobody else's."""

    async def work() -> None:
        async with units.begin() as unit:
            await unit.session.execute(text("SELECT 1"))
            postgres.hang()
            await unit.session.execute(update(PlanRow).where(PlanRow.id == "pro").values(limit_per_minute=1))
            await unit.commit()

    error, took_s = await refused(work)
    assert took_s < 4
    assert "Nothing was changed" in error.detail
    postgres.go_on()
    assert [await limit(units) for _ in range(CONNECTIONS)] == [600] * CONNECTIONS


async def test_a_commit_that_is_not_answered_is_not_said_to_be_undone(
    postgres: PostgresProcess, units: UnitsOfWork
) -> None:
    """The database may have heard it, and do it when it goes on. Or it ends the transaction first, which took too long:
    then nothing is done, and it is tried again here until it is seen to be done."""

    async def work(value: int) -> None:
        async with units.begin() as unit:
            await unit.session.execute(update(PlanRow).where(PlanRow.id == "free").values(limit_per_minute=value))
            postgres.hang()
            await unit.commit()

    async def is_done(value: int) -> bool:
        for _ in range(40):
            async with units.read() as session:
                found = await session.scalar(select(PlanRow.limit_per_minute).where(PlanRow.id == "free"))
            if found == value:
                return True
            assert found == 60
            await asyncio.sleep(0.05)
        return False

    for value in range(61, 65):
        error, _ = await refused(partial(work, value))
        assert "not heard whether" in error.detail
        postgres.go_on()
        if await is_done(value):
            return
    pytest.fail("the database never did what it may have heard")


async def test_whoever_waits_for_a_turn_is_answered_too(
    postgres: PostgresProcess, units: UnitsOfWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind those that hang."""
    monkeypatch.setattr("aitbc_server.db.unit_of_work.POOL_TIMEOUT_S", 0.5)
    crowd = units.in_turns()
    postgres.hang()
    began_s = time.monotonic()
    answers = await asyncio.gather(*(limit(crowd) for _ in range(20)), return_exceptions=True)
    assert {getattr(answer, "code", answer) for answer in answers} == {Code.UNAVAILABLE}
    assert time.monotonic() - began_s < BOUNDED_S
    postgres.go_on()
    assert await limit(crowd) == 600


async def test_work_at_leisure_outlasts_the_statement_timeout(database: Database) -> None:
    """Neither the server nor the client gives it up."""
    async with database.write_at_leisure() as session:
        await session.execute(text("SET LOCAL statement_timeout = 0"))
        await session.execute(text("SELECT pg_sleep(2.5)"))


async def test_the_database_is_held_again_afterwards(
    postgres: PostgresProcess, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Another server that has no store is refused, before and after."""
    async with holding(database, in_fleet=False):
        postgres.hang()
        await asyncio.sleep(4)
        postgres.go_on()
        taken = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = 99")
        async with asyncio.timeout(10):
            while True:
                await asyncio.sleep(0.2)
                async with database.read() as session:
                    if await session.scalar(taken):
                        break
