"""Guesses are slowed down by address, nobody is locked out, and no flood of addresses fills the memory."""

from __future__ import annotations

import pytest
from tests.gate.factories import FakeClock

from aitbc_server.gate.guesses import GuessLimiter, _group

IP = "192.0.2.1"


class Attacker:
    """Sends wrong keys, as often as it is let."""

    def __init__(self, limiter: GuessLimiter, clock: FakeClock, ip: str | None = IP) -> None:
        self._limiter = limiter
        self._clock = clock
        self._ip = ip

    def guess(self, times: int = 1) -> int:
        """How many of so many guesses were looked up."""
        return sum(self._guess() for _ in range(times))

    def _guess(self) -> bool:
        if not self._limiter.admit(self._ip, self._clock()):
            return False
        self._limiter.failed(self._ip, self._clock())
        return True


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limiter() -> GuessLimiter:
    return GuessLimiter()


def test_thirty_a_minute_then_one_a_second(limiter: GuessLimiter, clock: FakeClock) -> None:
    """The documented pace. ASVS 6.3.1, 2.4.1."""
    attacker = Attacker(limiter, clock)
    assert attacker.guess(1000) == 30
    for _ in range(50):
        clock.step(0.999999)
        assert attacker.guess(10) == 0
        clock.step(0.000001)
        assert attacker.guess(10) == 1


def test_going_on_does_not_buy_another_thirty(limiter: GuessLimiter, clock: FakeClock) -> None:
    """The slow lookups that fail count too: in ten minutes of it there is no second burst."""
    attacker = Attacker(limiter, clock)
    attacker.guess(30)
    looked_up = 0
    for _ in range(6000):
        clock.step(0.1)
        looked_up += attacker.guess(5)
    assert looked_up == 600


def test_who_stops_is_free_within_a_minute(limiter: GuessLimiter, clock: FakeClock) -> None:
    """Nobody is locked out. ASVS 6.1.1."""
    attacker = Attacker(limiter, clock)
    attacker.guess(100)
    clock.step(60)
    assert attacker.guess(100) == 30


def test_successes_cost_nothing(limiter: GuessLimiter, clock: FakeClock) -> None:
    """A busy proxy with many right keys is never slowed down."""
    assert all(limiter.admit(IP, clock()) for _ in range(1000))


def test_a_right_key_among_the_guesses_takes_the_seconds_lookup(limiter: GuessLimiter, clock: FakeClock) -> None:
    """From a slowed address one lookup a second is made, whatever it finds."""
    Attacker(limiter, clock).guess(30)
    clock.step(1)
    assert limiter.admit(IP, clock())
    assert not limiter.admit(IP, clock())


def test_an_address_of_nobody_counts_nowhere(limiter: GuessLimiter, clock: FakeClock) -> None:
    """A service that does not say who presented a key has nobody slowed down."""
    assert Attacker(limiter, clock, None).guess(100) == 100
    assert limiter._addresses == {}


def test_other_addresses_are_not_slowed_down(limiter: GuessLimiter, clock: FakeClock) -> None:
    """Each address pays for itself."""
    Attacker(limiter, clock).guess(100)
    assert Attacker(limiter, clock, "192.0.2.2").guess(100) == 30


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:DB8:0:1::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("garbage:1", "garbage:2", False),
        ("garbage:1", "garbage:1", True),
    ],
)
def test_which_addresses_are_one_client(one: str, other: str, same: bool) -> None:
    """An IPv6 subscriber holds a whole /64; an IPv4 address written as IPv6 is itself."""
    assert (_group(one) == _group(other)) is same


@pytest.mark.parametrize("step_s", [-0.5, -30, -3600, -(10**6)])
def test_a_clock_that_steps_back_silences_nobody_for_long(
    limiter: GuessLimiter, clock: FakeClock, step_s: float
) -> None:
    """Failures at times that lie ahead do not count until those times come."""
    attacker = Attacker(limiter, clock)
    attacker.guess(30)
    clock.step(step_s)
    clock.step(2)
    assert attacker.guess() == 1


def test_memory_is_bounded(clock: FakeClock) -> None:
    """Neither many addresses nor a long attack from one fill it; the address that failed longest ago is forgotten."""
    limiter = GuessLimiter(max_failures=3, max_addresses=10)
    first = Attacker(limiter, clock, "10.0.0.0")
    first.guess(3)
    for number in range(1, 10):
        Attacker(limiter, clock, f"10.0.0.{number}").guess(3)
    clock.step(1)
    assert first.guess() == 1
    Attacker(limiter, clock, "10.0.0.99").guess(3)
    assert len(limiter._addresses) == 10
    assert "10.0.0.1" not in limiter._addresses
    assert "10.0.0.0" in limiter._addresses
    for _ in range(1000):
        clock.step(1)
        first.guess()
    assert len(limiter._addresses["10.0.0.0"].failures.times) <= 3


def test_the_strictest_setting(clock: FakeClock) -> None:
    """One failure, and the next lookup has to wait."""
    assert Attacker(GuessLimiter(max_failures=1), clock).guess(2) == 1
