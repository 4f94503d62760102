"""Keeping counts: over a stop, over a kill, over a database that is away, without writing much."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from tests.usage.world import START_US, Clock

from aitbc_server.db.engine import Database
from aitbc_server.gate.counter import MINUTE_US, UsageCounter
from aitbc_server.usage import flusher as flusher_module
from aitbc_server.usage import repository
from aitbc_server.usage.flusher import UsageFlusher
from aitbc_server.usage.journal import Journal

NOBODY = ("a-tenant", "live", "kid000000001")


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushes follow each other quickly, so that tests need not wait."""
    monkeypatch.setattr(flusher_module, "JOURNAL_INTERVAL_S", 0.01)
    monkeypatch.setattr(flusher_module, "STORE_INTERVAL_S", 0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal lies."""
    return tmp_path / "usage.journal"


class Run:
    """One run of a counter and its flusher, which can be ended like a killed process."""

    def __init__(self, database: Database, path: Path, clock: Clock) -> None:
        self.counter = UsageCounter()
        self.clock = clock
        self.flusher = UsageFlusher(self.counter, database, clock, path)

    def count(self, decisions: int, operation: str = "jobs.create") -> None:
        """Count some decisions now."""
        for _ in range(decisions):
            self.counter.add(self.clock(), NOBODY, operation, "allowed")

    @asynccontextmanager
    async def killed(self) -> AsyncIterator[None]:
        """Run until the block is left, then end without a last flush."""
        with suppress(KilledError):
            async with self.flusher.running():
                yield
                raise KilledError


class KilledError(Exception):
    """Ends a run as a kill does: nothing is written after it."""


async def stored(database: Database) -> dict[str, int]:
    """What the database has, by operation."""
    async with database.read() as session:
        rows = await session.execute(text("SELECT operation, CAST(SUM(count) AS bigint) FROM usage_minutes GROUP BY 1"))
        return {row[0]: row[1] for row in rows}


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that is about to happen."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 (what is awaited is a file's content)
            await asyncio.sleep(0.005)


def journalled(path: Path) -> int:
    """How many decisions the journal holds; the file is copied, because the running server has the lock."""
    copy = path.with_name("copy.journal")
    copy.write_bytes(path.read_bytes())
    journal = Journal(copy)
    try:
        return sum(sum(each.counts.values()) for each in journal.read())
    finally:
        journal.close()


async def test_a_stop_stores_everything(database: Database, path: Path, clock: Clock) -> None:
    """After a stop in good order the database has every decision, and the journal is empty."""
    run = Run(database, path, clock)
    async with run.flusher.running():
        run.count(3)
    assert await stored(database) == {"jobs.create": 3}
    assert journalled(path) == 0


async def test_a_finished_minute_is_stored_once(
    database: Database, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The present minute stays out of the database; a finished one goes there in one piece and leaves the journal."""
    calls = []
    raise_counts = repository.raise_counts

    async def spy(session: AsyncSession, rows: list[dict[str, object]]) -> None:
        calls.append(len(rows))
        await raise_counts(session, rows)

    monkeypatch.setattr(repository, "raise_counts", spy)
    run = Run(database, path, clock)
    async with run.killed():
        run.count(3)
        await until(lambda: journalled(path) == 3)
        assert await stored(database) == {}
        clock.now_us += MINUTE_US
        run.count(2)
        await until(lambda: bool(calls) and journalled(path) == 2)
        assert await stored(database) == {"jobs.create": 3}
        assert [ledger.total for ledger in run.counter.ledgers()] == [2]
    assert calls == [1]


async def test_a_kill_loses_only_what_was_not_journalled(
    database: Database, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the journal had is counted in the next run, once, in its own minute."""
    run = Run(database, path, clock)
    with monkeypatch.context() as patched:
        async with run.killed():
            run.count(5)
            await until(lambda: journalled(path) == 5)
            # Counted after the last flush before the kill: this one is lost.
            patched.setattr(UsageFlusher, "write_journal", lambda *_: None)
            run.count(1)
    assert await stored(database) == {}
    clock.now_us += 10 * MINUTE_US
    for _ in range(2):
        # The second time, the journal of the first recovery is recovered.
        after = Run(database, path, clock)
        async with after.killed():
            assert [(ledger.minute_us, ledger.total) for ledger in after.counter.ledgers()] == [
                (START_US - START_US % MINUTE_US, 5)
            ]
    async with Run(database, path, clock).flusher.running():
        pass
    assert await stored(database) == {"jobs.create": 5}


@pytest.mark.parametrize("seed", range(3))
async def test_kills_at_any_moment_count_nothing_twice(
    database: Database, path: Path, clock: Clock, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the store's commit and the journal's new beginning, again and again: every count once."""
    expected = Counter[str]()

    def refuse(journal: Journal, ledgers: object) -> None:
        raise OSError("killed here")

    for step in range(3):
        run = Run(database, path, clock)
        async with run.flusher.running():
            run.count(seed + step, f"jobs.{step}")
            expected[f"jobs.{step}"] += seed + step
            clock.now_us += (step % 2) * MINUTE_US
            with monkeypatch.context() as patched:
                patched.setattr(Journal, "rewrite", refuse)
                await asyncio.sleep(0.05)
    async with Run(database, path, clock).flusher.running():
        pass
    assert Counter(await stored(database)) == +expected


async def test_a_database_that_is_away_loses_nothing(
    database: Database, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts of minutes without it wait in memory and in the journal, also over a stop, and are stored later."""

    async def away(session: AsyncSession, rows: list[dict[str, object]]) -> None:
        raise ConnectionRefusedError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(repository, "raise_counts", away)
        run = Run(database, path, clock)
        async with run.flusher.running():
            for _ in range(3):
                run.count(2)
                clock.now_us += MINUTE_US
                await asyncio.sleep(0.03)
            assert sum(ledger.total for ledger in run.counter.ledgers()) == 6
        assert journalled(path) == 6
        async with Run(database, path, clock).flusher.running():
            await asyncio.sleep(0.03)
    async with Run(database, path, clock).flusher.running():
        pass
    assert await stored(database) == {"jobs.create": 6}


async def test_a_database_that_hangs_does_not_hold_up_the_stop(
    database: Database, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The stop goes on without it; the counts are in the journal, and the log says so."""
    monkeypatch.setattr(flusher_module, "STORE_AT_THE_END_S", 0.05)

    async def hang(session: AsyncSession, rows: list[dict[str, object]]) -> None:
        await asyncio.sleep(60)

    run = Run(database, path, clock)
    with monkeypatch.context() as patched:
        patched.setattr(repository, "raise_counts", hang)
        async with asyncio.timeout(2), run.flusher.running():
            run.count(4)
    assert "usage counts stay in the journal until the next start" in caplog.text
    assert journalled(path) == 4


async def test_a_disk_that_is_full_at_the_end_keeps_nothing_from_the_database(
    database: Database, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Either place is enough."""

    def full(journal: Journal, ledgers: object) -> None:
        raise OSError("no space left on device")

    run = Run(database, path, clock)
    async with run.flusher.running():
        monkeypatch.setattr(Journal, "append", full)
        run.count(4)
    assert await stored(database) == {"jobs.create": 4}
    assert "no space left on device" in caplog.text


async def test_many_counts_are_stored_in_short_transactions(
    database: Database, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other writers get their turn: no transaction holds more than 500 rows, and none is missing."""
    calls = []
    raise_counts = repository.raise_counts

    async def spy(session: AsyncSession, rows: list[dict[str, object]]) -> None:
        calls.append(len(rows))
        await raise_counts(session, rows)

    monkeypatch.setattr(repository, "raise_counts", spy)
    run = Run(database, path, clock)
    async with run.flusher.running():
        for number in range(1200):
            run.counter.add(clock(), ("a-tenant", "live", f"kid{number:09}"), "jobs.create", "allowed")
    assert calls == [500, 500, 200]
    assert await stored(database) == {"jobs.create": 1200}


async def test_the_larger_number_wins(database: Database) -> None:
    """Storing an older reading after a newer one changes nothing; storing twice neither."""
    counter = UsageCounter()
    for decisions in (2, 3, 3, 1):
        rows = [
            {
                "tenant_id": "a-tenant",
                "environment": "live",
                "minute": Clock().timestamp(),
                "kid": "kid000000001",
                "outcome": "allowed",
                "operation": "jobs.create",
                "source": counter.source,
                "count": decisions,
            }
        ]
        async with database.write() as session:
            await repository.raise_counts(session, rows)
            await session.commit()
    assert await stored(database) == {"jobs.create": 3}
