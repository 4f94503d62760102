"""Counts of decisions, in memory, cumulative for each minute."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from aitbc_server.clock import US_PER_S
from aitbc_server.gate.records import UsageId

MINUTE_US = 60 * US_PER_S

#: (for whom, operation, outcome)
CountKey = tuple[UsageId, str, str]


class Count(NamedTuple):
    """How many decisions of one kind there were so far in the minute that starts at ``minute_us``."""

    minute_us: int
    key: CountKey
    count: int


class UsageCounter:
    """Counts decisions. What it hands out is cumulative, so that storing a number twice counts nothing twice."""

    def __init__(self) -> None:
        # The hot path touches only this dict; it is folded into the totals when somebody looks.
        self._fresh: dict[CountKey, int] = {}
        self._minute_us = 0
        self._minute_end_us = 0
        self._totals: dict[int, dict[CountKey, int]] = {}
        self._unsaved: set[tuple[int, CountKey]] = set()

    def add(self, now_us: int, usage_id: UsageId, operation: str, outcome: str) -> None:
        """Count one decision at ``now_us``."""
        if not self._minute_us <= now_us < self._minute_end_us:
            self._turn(now_us)
        key = (usage_id, operation, outcome)
        fresh = self._fresh
        fresh[key] = fresh.get(key, 0) + 1

    def unsaved(self) -> list[Count]:
        """Every count that changed since it was last marked saved."""
        self._fold()
        return [Count(minute_us, key, self._totals[minute_us][key]) for minute_us, key in self._unsaved]

    def mark_saved(self, counts: Iterable[Count]) -> None:
        """These counts are on disk. One that went on meanwhile stays unsaved."""
        self._fold()
        for minute_us, key, count in counts:
            if self._totals.get(minute_us, {}).get(key) == count:
                self._unsaved.discard((minute_us, key))

    def totals(self) -> list[Count]:
        """Every count that is still held, up to the newest decision."""
        self._fold()
        return [Count(minute, key, count) for minute, counts in self._totals.items() for key, count in counts.items()]

    def forget(self, minute_us: int) -> None:
        """Let go of a minute that is stored for good. The present minute is kept."""
        if minute_us != self._minute_us:
            self._totals.pop(minute_us, None)
            self._unsaved = {entry for entry in self._unsaved if entry[0] != minute_us}

    def _turn(self, now_us: int) -> None:
        self._fold()
        self._minute_us = now_us - now_us % MINUTE_US
        self._minute_end_us = self._minute_us + MINUTE_US

    def _fold(self) -> None:
        if not self._fresh:
            return
        fresh, self._fresh = self._fresh, {}
        minute_us = self._minute_us
        totals = self._totals.setdefault(minute_us, {})
        for key, count in fresh.items():
            totals[key] = totals.get(key, 0) + count
            self._unsaved.add((minute_us, key))
