"""Which of minutes, hours and days answer a question: all of it, and nothing twice."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from aitbc_server.usage.levels import DAY_MS, HOUR_MS, MINUTE_MS, Level, Part, Retention, Unsummed, parts

NONE = Unsummed((), ())
DAY = 20_000 * DAY_MS


def test_whole_days_are_asked_by_the_day() -> None:
    """The present day and hour are not summed up yet: the rest of a month is a row a day."""
    now_hour = DAY + 15 * HOUR_MS
    found = parts(DAY - 29 * DAY_MS, DAY + DAY_MS, DAY_MS, Unsummed({now_hour}, {DAY}))
    assert found == [
        Part(Level.DAY, DAY - 29 * DAY_MS, DAY),
        Part(Level.HOUR, DAY, now_hour),
        Part(Level.HOUR, now_hour + HOUR_MS, DAY + DAY_MS),
        Part(Level.MINUTE, now_hour, now_hour + HOUR_MS),
    ]


def test_edges_that_cut_an_interval_are_asked_more_finely() -> None:
    """A range that starts at half past has half an hour in minutes, then hours up to midnight, then days."""
    found = parts(DAY - 90 * MINUTE_MS, DAY + DAY_MS, DAY_MS, NONE)
    assert found == [
        Part(Level.DAY, DAY, DAY + DAY_MS),
        Part(Level.HOUR, DAY - HOUR_MS, DAY),
        Part(Level.MINUTE, DAY - 90 * MINUTE_MS, DAY - HOUR_MS),
    ]


@pytest.mark.parametrize(("step_ms", "level"), [(MINUTE_MS, Level.MINUTE), (HOUR_MS, Level.HOUR)])
def test_no_step_is_answered_by_what_is_wider(step_ms: int, level: Level) -> None:
    """An hour's sum says nothing of its minutes."""
    assert parts(DAY, DAY + DAY_MS, step_ms, NONE) == [Part(level, DAY, DAY + DAY_MS)]


def test_every_range_is_answered_once_and_never_by_a_sum_that_is_wrong() -> None:
    """Ranges, steps and marks at random: the parts are the range, and no wrong hour is in an hour's or a day's sum."""
    chance = random.Random(5)
    for _ in range(500):
        from_ms = DAY + chance.randrange(3 * 1440) * MINUTE_MS
        to_ms = from_ms + chance.randrange(1, 4 * 1440) * MINUTE_MS
        hours = {DAY + chance.randrange(6 * 24) * HOUR_MS for _ in range(chance.randrange(6))}
        days = {DAY + chance.randrange(6) * DAY_MS for _ in range(chance.randrange(3))}
        found = parts(from_ms, to_ms, chance.choice([HOUR_MS, DAY_MS]), Unsummed(hours, days))
        in_order = sorted(found, key=lambda part: part.from_ms)
        assert (in_order[0].from_ms, in_order[-1].to_ms) == (from_ms, to_ms)
        assert all(before.to_ms == after.from_ms for before, after in pairwise(in_order))
        for part in found:
            assert part.from_ms < part.to_ms
            assert part.from_ms % part.level.width_ms == part.to_ms % part.level.width_ms == 0
            wrong = {Level.MINUTE: set(), Level.HOUR: hours, Level.DAY: hours | days}[part.level]
            assert not any(part.from_ms <= start < part.to_ms for start in wrong)


def test_what_is_kept_begins_with_a_whole_day() -> None:
    """Seven days and the present one; None is for ever."""
    retention = Retention(7, 90, None)
    now_ms = DAY + 15 * HOUR_MS
    assert retention.kept_from_ms(Level.MINUTE, now_ms) == DAY - 7 * DAY_MS
    assert retention.kept_from_ms(Level.HOUR, now_ms) == DAY - 90 * DAY_MS
    assert retention.kept_from_ms(Level.DAY, now_ms) == 0
