"""The window as pure functions; the randomised checks are in test_store.py."""

from __future__ import annotations

from array import array

import pytest

from aitbc_server.gate.limiter import WINDOW_US, Log, Verdict, check, evict, record

T = 1_000_000_000


def log(*times_us: int) -> Log:
    return Log(array("q", times_us))


def test_an_empty_window_lets_the_first_request_in() -> None:
    """It is counted for the whole window from now on."""
    assert check(log(), T, 5, 1) == Verdict(True, 4, WINDOW_US, 0)
    assert check(log(), T, 5, 0) == Verdict(True, 5, 0, 0)


def test_the_window_is_open_at_its_old_end() -> None:
    """What is exactly 60 s old has left (t - 60 s, t]; what is a microsecond younger has not."""
    assert check(log(T), T + WINDOW_US, 1, 1).allowed
    assert check(log(T), T + WINDOW_US - 1, 1, 1) == Verdict(False, 0, 1, 1)


def test_checking_records_nothing() -> None:
    """Only ``record`` does, once for each unit of cost."""
    entries = log(T)
    check(entries, T, 5, 3)
    assert len(entries) == 1
    record(entries, T + 1, 3)
    record(entries, T + 2, 1)
    record(entries, T + 2, 0)
    assert list(entries.live()) == [T, T + 1, T + 1, T + 1, T + 2]


@pytest.mark.parametrize(("cost", "wait_us"), [(1, WINDOW_US - 9), (2, WINDOW_US - 8), (3, WINDOW_US - 7)])
def test_a_large_cost_waits_for_as_many_to_leave(cost: int, wait_us: int) -> None:
    """The wait ends when enough has left, not when the first one does."""
    assert check(log(T, T + 1, T + 2), T + 9, 3, cost).retry_after_us == wait_us


def test_eviction_forgets_what_has_left() -> None:
    """Few dead entries stay in place, many are cut off."""
    few, many = log(*range(T, T + 10)), log(*range(T, T + 40))
    evict(few, T + WINDOW_US + 4)
    evict(many, T + WINDOW_US + 29)
    assert (few.head, len(few)) == (5, 5)
    assert (many.head, len(many)) == (0, 10)
    evict(few, T + WINDOW_US + 4)
    assert len(few) == 5
