"""Minutes, hours and days: where counts lie, and which of them answer a question."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import NamedTuple

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class Level(StrEnum):
    """How wide the intervals of a table of counts are."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def width_ms(self) -> int:
        """The width of one."""
        return {Level.MINUTE: MINUTE_MS, Level.HOUR: HOUR_MS, Level.DAY: DAY_MS}[self]


class Part(NamedTuple):
    """What a level answers of a question: [from_ms, to_ms)."""

    level: Level
    from_ms: int
    to_ms: int


class Retention(NamedTuple):
    """For how many days minutes, hours and days are kept; None: for ever."""

    minutes_days: int
    hours_days: int
    days_days: int | None

    def kept_from_ms(self, level: Level, now_ms: int) -> int:
        """Everything since then is there. It is the start of a day in UTC, as only whole days are deleted."""
        kept = {Level.MINUTE: self.minutes_days, Level.HOUR: self.hours_days, Level.DAY: self.days_days}[level]
        return 0 if kept is None else max(0, floor(now_ms, DAY_MS) - kept * DAY_MS)


class Unsummed(NamedTuple):
    """The starts, in ms, of hours and days whose sums must not be believed."""

    hours: Collection[int]
    days: Collection[int]


def floor(ms: int, width_ms: int) -> int:
    """The start of the interval that this moment is in."""
    return ms - ms % width_ms


def parts(from_ms: int, to_ms: int, step_ms: int, unsummed: Unsummed) -> list[Part]:
    """Who answers for [from_ms, to_ms) in steps of ``step_ms``: the widest level that may, and minutes for the rest.

    Together the parts are the range, and no two of them overlap.
    """
    found: list[Part] = []
    rest = [(from_ms, to_ms)]
    days = {*unsummed.days, *(floor(hour, DAY_MS) for hour in unsummed.hours)}
    for level, holes in ((Level.DAY, days), (Level.HOUR, unsummed.hours)):
        if step_ms % level.width_ms == 0:
            whole, rest = _divided(rest, level.width_ms, holes)
            found += [Part(level, *each) for each in whole]
    return found + [Part(Level.MINUTE, *each) for each in rest]


def _divided(
    ranges: Iterable[tuple[int, int]], width_ms: int, holes: Collection[int]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """What of the ranges is whole intervals that are no holes, and the rest."""
    whole: list[tuple[int, int]] = []
    rest: list[tuple[int, int]] = []
    for from_ms, to_ms in ranges:
        first, last = -(-from_ms // width_ms) * width_ms, floor(to_ms, width_ms)
        if first >= last:
            rest.append((from_ms, to_ms))
            continue
        at_ms = first
        _add(rest, from_ms, first)
        for hole in sorted(hole for hole in holes if first <= hole < last):
            _add(whole, at_ms, hole)
            at_ms = hole + width_ms
            _add(rest, hole, at_ms)
        _add(whole, at_ms, last)
        _add(rest, last, to_ms)
    return whole, rest


def _add(ranges: list[tuple[int, int]], from_ms: int, to_ms: int) -> None:
    """Add one behind the others; what touches the last one becomes one with it."""
    if from_ms < to_ms:
        if ranges and ranges[-1][1] == from_ms:
            from_ms = ranges.pop()[0]
        ranges.append((from_ms, to_ms))
