"""The stores that there are, as the tests that all of them go through want them."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from tests.gate.factories import FakeClock
from tests.gate.oracle import Judged

from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.records import UsageId
from aitbc_server.gate.store import Store, Taken
from aitbc_server.gate.store_memory import MemoryStore

Counted = Counter[tuple[UsageId, str, str]]


class StoreUnderTest(Protocol):
    """A store, the clock that it reads, and what it counted."""

    clock: FakeClock
    store: Store

    async def counts(self) -> Counted:
        """Decisions by whom, operation and outcome."""
        ...


class MemoryUnderTest:
    """The store of a single process."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self._counter = UsageCounter()
        self.store: Store = MemoryStore(self.clock, self._counter)

    async def counts(self) -> Counted:
        """See ``StoreUnderTest``."""
        counts: Counted = Counter()
        for count in self._counter.totals():
            counts[count.key] += count.decisions
        return counts


def seen(taken: Taken) -> Judged:
    """A store's answer in the oracle's words."""
    return Judged(taken.allowed, tuple((each.remaining, each.reset_us) for each in taken.levels), taken.retry_after_us)
