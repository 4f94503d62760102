"""Counts of decisions, in memory, cumulative for each minute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from aitbc_server.clock import US_PER_S
from aitbc_server.gate.records import UsageId
from aitbc_server.ids import new_id

MINUTE_US = 60 * US_PER_S

#: (for whom, operation, outcome)
CountKey = tuple[UsageId, str, str]


class Count(NamedTuple):
    """How many decisions of one kind there were so far in the minute that starts at ``minute_us``."""

    minute_us: int
    key: CountKey
    decisions: int


class Ledger:
    """The counts of one source in one minute, each cumulative, so that storing a number twice counts nothing twice.

    ``changed`` holds the keys whose counts went up since it was last cleared; ``total`` is the sum of all counts.
    """

    __slots__ = ("_by_tenant", "changed", "counts", "minute_us", "source", "total")

    def __init__(self, source: str, minute_us: int) -> None:
        self.source = source
        self.minute_us = minute_us
        self.counts: dict[CountKey, int] = {}
        self.changed: set[CountKey] = set()
        self.total = 0
        # One tenant's question must not cost a walk over everybody's counts.
        self._by_tenant: dict[str, list[CountKey]] = {}

    def raise_by(self, increments: Mapping[CountKey, int]) -> None:
        """Add to the counts."""
        counts = self.counts
        for key, increment in increments.items():
            count = counts.get(key)
            if count is None:
                counts[key] = increment
                self._by_tenant.setdefault(key[0][0], []).append(key)
            else:
                counts[key] = count + increment
        self.changed.update(increments)
        self.total += sum(increments.values())

    def of_tenant(self, tenant_id: str) -> Iterable[Count]:
        """The tenant's counts."""
        return [Count(self.minute_us, key, self.counts[key]) for key in self._by_tenant.get(tenant_id, ())]


class UsageCounter:
    """Counts decisions in the ledger of the present minute; ledgers are held until they are stored for good.

    ``source`` names this run of the counter. Within a source and a minute a count only ever grows, which is what
    makes "the larger number wins" right for whoever stores them.
    """

    def __init__(self, new_source: Callable[[], str] = lambda: new_id("run")) -> None:
        # The hot path touches only this dict; it is folded into the ledger when somebody looks.
        self._fresh: dict[CountKey, int] = {}
        self._minute_us = 0
        self._minute_end_us = 0
        self._ledgers: dict[tuple[str, int], Ledger] = {}
        self._new_source = new_source
        self._newest_forgotten_us = -1
        self.source = new_source()

    def add(self, now_us: int, usage_id: UsageId, operation: str, outcome: str) -> None:
        """Count one decision at ``now_us``."""
        if not self._minute_us <= now_us < self._minute_end_us:
            self._turn(now_us)
        key = (usage_id, operation, outcome)
        fresh = self._fresh
        fresh[key] = fresh.get(key, 0) + 1

    def ledgers(self) -> list[Ledger]:
        """Every ledger that is held, up to the newest decision, oldest minute first."""
        self._fold()
        return sorted(self._ledgers.values(), key=lambda ledger: ledger.minute_us)

    def totals(self) -> list[Count]:
        """Every count that is held, up to the newest decision."""
        return [Count(each.minute_us, key, count) for each in self.ledgers() for key, count in each.counts.items()]

    def restore(self, source: str, minute_us: int, counts: Mapping[CountKey, int]) -> None:
        """Hold counts of an earlier run until they are stored, under its own source."""
        self._ledger(source, minute_us).raise_by(counts)

    def forget(self, ledger: Ledger, stored_total: int) -> bool:
        """Let go of a ledger whose counts were stored when they summed up to ``stored_total``.

        False, and it is kept, where it went on meanwhile.
        """
        self._fold()
        if ledger.total != stored_total:
            return False
        del self._ledgers[ledger.source, ledger.minute_us]
        if ledger.source == self.source:
            self._newest_forgotten_us = max(self._newest_forgotten_us, ledger.minute_us)
            if ledger.minute_us == self._minute_us:
                self._minute_us = self._minute_end_us = 0
        return True

    def _turn(self, now_us: int) -> None:
        self._fold()
        self._minute_us = now_us - now_us % MINUTE_US
        self._minute_end_us = self._minute_us + MINUTE_US
        if self._minute_us <= self._newest_forgotten_us and (self.source, self._minute_us) not in self._ledgers:
            # The clock was stepped back into a minute that is stored. Counting it anew from 0 under the same source
            # would be lost below the stored number, so a new source begins.
            self.source = self._new_source()
            self._newest_forgotten_us = -1

    def _fold(self) -> None:
        if self._fresh:
            fresh, self._fresh = self._fresh, {}
            self._ledger(self.source, self._minute_us).raise_by(fresh)

    def _ledger(self, source: str, minute_us: int) -> Ledger:
        ledger = self._ledgers.get((source, minute_us))
        if ledger is None:
            ledger = self._ledgers[source, minute_us] = Ledger(source, minute_us)
        return ledger
