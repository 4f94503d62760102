"""Counts of decisions, in memory, cumulative for each minute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from threading import Lock
from typing import NamedTuple

import msgspec

from aitbc_server.clock import US_PER_S
from aitbc_server.gate.records import UsageId
from aitbc_server.gate.store import ALLOWED
from aitbc_server.ids import new_id

MINUTE_US = 60 * US_PER_S

#: (for whom, operation, outcome)
CountKey = tuple[UsageId, str, str]


class Count(NamedTuple):
    """How many decisions of one kind there were so far in the minute that starts at ``minute_us``."""

    minute_us: int
    key: CountKey
    decisions: int


class Tally(msgspec.Struct, gc=False, eq=False, kw_only=True):
    """One kind of decision: whoever holds it counts without looking for the place.

    It is told apart from others by what it is, not by what is in it: two of one kind are counted beside each other,
    and are one count only where somebody reads them.
    """

    usage_id: UsageId
    operation_id: str
    outcome: str

    @property
    def key(self) -> CountKey:
        """Under which it is counted."""
        return self.usage_id, self.operation_id, self.outcome


class Ledger:
    """The counts of one source in one minute, each cumulative, so that storing a number twice counts nothing twice.

    ``tallies`` holds the count of each tally; ``total`` is the sum of all. ``is_restored``: of an earlier run.
    """

    __slots__ = ("_by_tenant", "_changed", "_lock", "is_restored", "minute_us", "source", "tallies", "total")

    def __init__(self, source: str, minute_us: int, lock: Lock, *, is_restored: bool = False) -> None:
        self.source = source
        self.minute_us = minute_us
        self.is_restored = is_restored
        self.tallies: Counter[Tally] = Counter()
        self.total = 0
        self._lock = lock
        self._changed: set[Tally] = set()
        # One tenant's question must not cost a walk over everybody's counts.
        self._by_tenant: dict[str, list[Tally]] = {}

    def count_held(self, tallies: Sequence[Tally]) -> None:
        """Count each once more, for who holds the lock.

        Several times a second, and nearly all are different ones: what is done for each is done by the interpreter's
        own loops, but for those that are new in this minute.
        """
        for tally in set(tallies).difference(self.tallies):
            self._by_tenant.setdefault(tally.usage_id[0], []).append(tally)
        self.tallies.update(tallies)
        self._changed.update(tallies)
        self.total += len(tallies)

    def restore(self, counts: Mapping[CountKey, int]) -> None:
        """Take over what an earlier run counted."""
        for (usage_id, operation, outcome), count in counts.items():
            tally = Tally(usage_id=usage_id, operation_id=operation, outcome=outcome)
            self._by_tenant.setdefault(usage_id[0], []).append(tally)
            self.tallies[tally] = count
            self.total += count

    def take_changed(self) -> Collection[Tally]:
        """What was counted since this was last asked."""
        with self._lock:
            changed, self._changed = self._changed, set()
        return changed

    @property
    def counts(self) -> dict[CountKey, int]:
        """The count of each kind."""
        return self._by_kind(list(self.tallies))

    def of_tenant(self, tenant_id: str) -> Iterable[Count]:
        """The tenant's counts."""
        counts = self._by_kind(self._by_tenant.get(tenant_id, ()))
        return [Count(self.minute_us, key, count) for key, count in counts.items()]

    def _by_kind(self, tallies: Iterable[Tally]) -> dict[CountKey, int]:
        counts: dict[CountKey, int] = {}
        for tally in tallies:
            key = tally.key
            counts[key] = counts.get(key, 0) + self.tallies[tally]
        return counts


class UsageCounter:
    """Counts decisions in the ledger of the present minute; ledgers are held until they are stored for good.

    ``source`` names this run of the counter. Within a source and a minute a count only ever grows, which is what
    makes "the larger number wins" right for whoever stores them. It may be asked from several threads.
    """

    def __init__(self, new_source: Callable[[], str] = lambda: new_id("run")) -> None:
        #: Held by whoever counts. A store that takes and counts in one step holds it for both.
        self.lock = Lock()
        # The hot path only adds to this, once for each decision; it is counted up when somebody looks.
        self._fresh: list[Tally] = []
        # Of those who have none at hand, in the present minute.
        self._loose: dict[CountKey, Tally] = {}
        self._minute_us = 0
        self._minute_end_us = 0
        self._ledgers: dict[tuple[str, int], Ledger] = {}
        self._new_source = new_source
        self._newest_forgotten_us = -1
        # Of ledgers that were let go of.
        self._allowed: Counter[str] = Counter()
        self.source = new_source()

    def add(self, now_us: int, usage_id: UsageId, operation: str, outcome: str) -> None:
        """Count one decision at ``now_us``."""
        with self.lock:
            self.add_held(now_us, usage_id, operation, outcome)

    def add_held(self, now_us: int, usage_id: UsageId, operation: str, outcome: str) -> None:
        """As ``add``, for who holds the lock."""
        key = (usage_id, operation, outcome)
        tally = self._loose.get(key)
        if tally is None:
            tally = self._loose[key] = Tally(usage_id=usage_id, operation_id=operation, outcome=outcome)
        self.raise_held(tally, now_us)

    def raise_held(self, tally: Tally, now_us: int) -> None:
        """Count one decision of the tally's kind at ``now_us``, for who holds the lock."""
        if not self._minute_us <= now_us < self._minute_end_us:
            self._turn(now_us)
        self._fresh.append(tally)

    def ledgers(self) -> list[Ledger]:
        """Every ledger that is held, up to the newest decision, oldest minute first."""
        with self.lock:
            self._fold()
            return sorted(self._ledgers.values(), key=lambda ledger: ledger.minute_us)

    def totals(self) -> list[Count]:
        """Every count that is held, up to the newest decision."""
        return [Count(each.minute_us, key, count) for each in self.ledgers() for key, count in each.counts.items()]

    def allowed(self) -> dict[str, int]:
        """How many requests were allowed since the start, by operation."""
        with self.lock:
            self._fold()
            return self._allowed + _allowed(self._ledgers.values())

    def restore(self, source: str, minute_us: int, counts: Mapping[CountKey, int]) -> None:
        """Hold counts of an earlier run until they are stored, under its own source."""
        with self.lock:
            self._ledger(source, minute_us, is_restored=True).restore(counts)

    def forget(self, ledger: Ledger, stored_total: int) -> bool:
        """Let go of a ledger whose counts were stored when they summed up to ``stored_total``.

        False, and it is kept, where it went on meanwhile.
        """
        with self.lock:
            self._fold()
            if ledger.total != stored_total:
                return False
            del self._ledgers[ledger.source, ledger.minute_us]
            self._allowed += _allowed([ledger])
            if ledger.source == self.source:
                self._newest_forgotten_us = max(self._newest_forgotten_us, ledger.minute_us)
                if ledger.minute_us == self._minute_us:
                    self._minute_us = self._minute_end_us = 0
                    self._loose.clear()
            return True

    def _turn(self, now_us: int) -> None:
        self._fold()
        self._loose = {}
        self._minute_us = now_us - now_us % MINUTE_US
        self._minute_end_us = self._minute_us + MINUTE_US
        if self._minute_us <= self._newest_forgotten_us and (self.source, self._minute_us) not in self._ledgers:
            # The clock was stepped back into a minute that is stored. Counting it anew from 0 under the same source
            # would be lost below the stored number, so a new source begins.
            self.source = self._new_source()
            self._newest_forgotten_us = -1

    def _fold(self) -> None:
        if self._fresh:
            self._ledger(self.source, self._minute_us).count_held(self._fresh)
            self._fresh.clear()

    def _ledger(self, source: str, minute_us: int, *, is_restored: bool = False) -> Ledger:
        ledger = self._ledgers.get((source, minute_us))
        if ledger is None:
            ledger = Ledger(source, minute_us, self.lock, is_restored=is_restored)
            self._ledgers[source, minute_us] = ledger
        return ledger


def _allowed(ledgers: Iterable[Ledger]) -> Counter[str]:
    """How many requests of this run were allowed, by operation."""
    allowed: Counter[str] = Counter()
    for ledger in ledgers:
        if not ledger.is_restored:
            for tally, count in ledger.tallies.items():
                if tally.outcome == ALLOWED:
                    allowed[tally.operation_id] += count
    return allowed
