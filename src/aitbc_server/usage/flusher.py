"""From the counter to the disk: the journal several times a second, the database once a minute and at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aitbc_server.clock import Clock, from_ms
from aitbc_server.db.engine import Database
from aitbc_server.gate.counter import MINUTE_US, Ledger, UsageCounter
from aitbc_server.periodic import repeating
from aitbc_server.usage.journal import Journal
from aitbc_server.usage.storing import minute_row, store

logger = logging.getLogger(__name__)

# At most 250 ms of counts may be lost with the process; the rest is for a busy event loop.
JOURNAL_INTERVAL_S = 0.1
STORE_INTERVAL_S = 1.0
# A stop takes at most 5 s, and requests in flight get most of them. What a slow database misses is in the journal.
STORE_AT_THE_END_S = 1.2


class UsageFlusher:
    """Keeps what ``counter`` counts.

    At the start the journal of an earlier run is taken back into the counter, and so into every answer; the database
    gets it with the next finished minute. A database that is away loses nothing: counts stay in memory and in the
    journal until it is back.
    """

    def __init__(self, counter: UsageCounter, database: Database, clock: Clock, path: Path) -> None:
        self._counter = counter
        self._database = database
        self._clock = clock
        self._path = path

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Flush until the block is left, then store everything. Raises JournalInUseError, OSError at the start."""
        journal = Journal(self._path)
        try:
            for journalled in journal.read():
                self._counter.restore(*journalled)
            journal.rewrite(self._counter.ledgers())

            async def write_journal() -> None:
                self.write_journal(journal)

            async def store_finished() -> None:
                await self.store_finished(journal)

            async with (
                repeating(write_journal, interval_s=JOURNAL_INTERVAL_S, name="writing the usage journal"),
                repeating(store_finished, interval_s=STORE_INTERVAL_S, name="storing usage counts"),
            ):
                yield
            await self._store_everything(journal)
        finally:
            journal.close()

    def write_journal(self, journal: Journal) -> None:
        """Write down what changed since the last call."""
        if journal.needs_rewrite:
            journal.rewrite(self._counter.ledgers())
        else:
            journal.append(self._counter.ledgers())

    async def store_finished(self, journal: Journal) -> None:
        """Store the minutes that are over, and all that an earlier run left, then let go of them."""
        now_us = self._clock()
        done = [
            ledger
            for ledger in self._counter.ledgers()
            if ledger.minute_us + MINUTE_US <= now_us or ledger.source != self._counter.source
        ]
        if done:
            for ledger in done:
                await self._store(ledger)
            journal.rewrite(self._counter.ledgers())

    async def _store_everything(self, journal: Journal) -> None:
        try:
            self.write_journal(journal)
        except OSError as error:
            logger.error("the last usage counts could not be journalled: %s", error)
        try:
            async with asyncio.timeout(STORE_AT_THE_END_S):
                for ledger in self._counter.ledgers():
                    await self._store(ledger)
            journal.rewrite(self._counter.ledgers())
        except Exception as error:
            logger.warning(
                "usage counts stay in the journal until the next start: %s", str(error) or "the database hangs"
            )

    async def _store(self, ledger: Ledger) -> None:
        total = ledger.total
        await store(self._database, _rows(ledger))
        self._counter.forget(ledger, total)


def _rows(ledger: Ledger) -> Iterator[dict[str, Any]]:
    minute = from_ms(ledger.minute_us // 1000)
    for ((tenant_id, environment, kid), operation, outcome), count in list(ledger.counts.items()):
        yield minute_row(ledger.source, minute, tenant_id, environment, kid, operation, outcome, count)
