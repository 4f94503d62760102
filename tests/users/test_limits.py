"""Limits on tries: exact windows of any length, all or none, and no way to fill the memory."""

from __future__ import annotations

import random

import pytest

from aitbc_server.clock import US_PER_S
from aitbc_server.errors import Code, DomainError
from aitbc_server.users.limits import Limits, Rule, Tries, client_group

HOUR_S = 3600
RULE = Rule("rule", 3, HOUR_S, "tries")
OTHER = Rule("other", 1, HOUR_S, "others")


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now_us = 1_800_000_000 * US_PER_S

    def __call__(self) -> int:
        """The time that the test set."""
        return self.now_us

    def turn(self, seconds: float) -> None:
        """Let time pass, or set it back."""
        self.now_us += round(seconds * US_PER_S)


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


def refused_for_s(limits: Limits, *rules: Rule, subject: str = "ann") -> int | None:
    """None where a try is allowed, and taken; else the seconds to wait."""
    try:
        limits.take([(rule, subject) for rule in rules])
    except DomainError as error:
        return int(error.headers["retry-after"]) if error.code is Code.TOO_MANY_FAILURES else -1
    return None


def test_the_window_is_exact(clock: Clock) -> None:
    """ASVS 6.1.1: never more than the limit in any window, never a refusal below it; who waits as told is let in."""
    limits = Limits(clock)
    taken: list[int] = []
    numbers = random.Random(7)
    for _ in range(2000):
        clock.turn(numbers.choice([0, 1, 60, 900, 1300]))
        within = [at for at in taken if clock() - at < HOUR_S * US_PER_S]
        wait_s = refused_for_s(limits, RULE)
        assert (wait_s is None) == (len(within) < RULE.limit)
        if wait_s is None:
            taken.append(clock())
        elif numbers.random() < 0.1:
            clock.turn(wait_s)
            assert refused_for_s(limits, RULE) is None
            taken.append(clock())


def test_one_subject_is_not_another(clock: Clock) -> None:
    """Whatever the rule and whoever tries."""
    limits = Limits(clock)
    for _ in range(3):
        assert refused_for_s(limits, RULE) is None
    assert refused_for_s(limits, RULE) == HOUR_S + 1
    assert refused_for_s(limits, RULE, subject="bob") is None
    assert refused_for_s(limits, OTHER) is None


def test_all_are_taken_or_none(clock: Clock) -> None:
    """A try that is refused by one rule costs nothing under another."""
    limits = Limits(clock)
    assert refused_for_s(limits, RULE, OTHER) is None
    for _ in range(10):
        assert refused_for_s(limits, RULE, OTHER) is not None
    assert [refused_for_s(limits, RULE) for _ in range(3)] == [None, None, HOUR_S + 1]


def test_what_is_given_back_does_not_count(clock: Clock) -> None:
    """A right password is no guess; giving back more than there is is no debt."""
    limits = Limits(clock)
    for _ in range(10):
        limits.take([(RULE, "ann")]).give_back()
    tries = limits.take([(RULE, "ann")])
    for _ in range(2):
        tries.give_back()
    assert [refused_for_s(limits, RULE) for _ in range(4)] == [None, None, None, HOUR_S + 1]
    assert isinstance(tries, Tries)


def test_a_clock_that_is_set_back_locks_nobody_out(clock: Clock) -> None:
    """By a little: nothing becomes free earlier. By more than a window: counting begins anew."""
    limits = Limits(clock)
    for _ in range(3):
        refused_for_s(limits, RULE)
    clock.turn(-HOUR_S / 2)
    assert refused_for_s(limits, RULE) is not None
    clock.turn(-2 * HOUR_S)
    assert refused_for_s(limits, RULE) is None


def test_many_subjects_do_not_fill_the_memory(clock: Clock) -> None:
    """The one that was tried longest ago is forgotten first."""
    limits = Limits(clock, max_counters=10)
    refused_for_s(limits, OTHER, subject="old")
    for number in range(9):
        refused_for_s(limits, OTHER, subject=str(number))
    assert refused_for_s(limits, OTHER, subject="old") is not None
    for number in range(10, 19):
        refused_for_s(limits, OTHER, subject=str(number))
    assert len(limits._logs) == 10
    assert refused_for_s(limits, OTHER, subject="old") is not None
    assert refused_for_s(limits, OTHER, subject="0") is None


@pytest.mark.parametrize(
    ("client_ip", "group"),
    [
        (None, "unknown"),
        ("", "unknown"),
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "20010db800000000::/64"),
        ("2001:db8::ffff:1", "20010db800000000::/64"),
        ("a socket", "a socket"),
    ],
)
def test_addresses_stand_for_a_subscriber(client_ip: str | None, group: str) -> None:
    """Who has an IPv6 network has 2^64 addresses."""
    assert client_group(client_ip) == group
