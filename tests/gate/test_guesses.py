"""Guesses are slowed down by address, nobody is locked out, and no flood of addresses fills the memory."""

from __future__ import annotations

import asyncio

import pytest
from tests.gate.factories import FakeClock

from aitbc_server.gate.guesses import GuessLimiter, _group

IP = "192.0.2.1"


class Attacker:
    """Sends wrong keys, as often as it is let."""

    def __init__(self, limiter: GuessLimiter, clock: FakeClock, ip: str = IP, said_by: str = "") -> None:
        self._limiter = limiter
        self._clock = clock
        self._ip = ip
        self._said_by = said_by

    async def guess(self, times: int = 1) -> int:
        """How many of so many guesses, one after the other, were looked up."""
        return sum([await self.send(failed=True) for _ in range(times)])

    async def send(self, *, failed: bool, until: asyncio.Event | None = None) -> bool:
        """One key, whose lookup takes until an event; whether it was looked up."""
        address = await self._limiter.begin(self._ip, self._clock, self._said_by)
        if address is None:
            return False
        try:
            if until is not None:
                await until.wait()
        finally:
            self._limiter.end(address, self._clock(), failed=failed)
        return True


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limiter() -> GuessLimiter:
    return GuessLimiter()


async def test_thirty_a_minute_then_one_a_second(limiter: GuessLimiter, clock: FakeClock) -> None:
    """The documented pace. ASVS 6.3.1, 2.4.1."""
    attacker = Attacker(limiter, clock)
    assert await attacker.guess(1000) == 30
    for _ in range(50):
        clock.step(0.999999)
        assert await attacker.guess(10) == 0
        clock.step(0.000001)
        assert await attacker.guess(10) == 1


async def test_going_on_does_not_buy_another_thirty(limiter: GuessLimiter, clock: FakeClock) -> None:
    """The slow lookups that fail count too: in ten minutes of it there is no second burst."""
    attacker = Attacker(limiter, clock)
    await attacker.guess(30)
    looked_up = 0
    for _ in range(6000):
        clock.step(0.1)
        looked_up += await attacker.guess(5)
    assert looked_up == 600


async def test_who_stops_is_free_within_a_minute(limiter: GuessLimiter, clock: FakeClock) -> None:
    """Nobody is locked out. ASVS 6.1.1."""
    attacker = Attacker(limiter, clock)
    await attacker.guess(100)
    clock.step(60)
    assert await attacker.guess(100) == 30


async def test_successes_cost_nothing(limiter: GuessLimiter, clock: FakeClock) -> None:
    """A busy proxy with many right keys is never slowed down, and leaves nothing behind."""
    proxy = Attacker(limiter, clock)
    assert all([await proxy.send(failed=False) for _ in range(1000)])
    assert limiter._addresses == {}


async def test_a_right_key_among_the_guesses_takes_the_seconds_lookup(limiter: GuessLimiter, clock: FakeClock) -> None:
    """From a slowed address one lookup a second is made, whatever it finds."""
    attacker = Attacker(limiter, clock)
    await attacker.guess(30)
    clock.step(1)
    assert await attacker.send(failed=False)
    assert not await attacker.send(failed=False)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_flood_at_once_is_looked_up_thirty_times(limiter: GuessLimiter, clock: FakeClock) -> None:
    """However many come side by side, before the first of them is known to be wrong."""
    attacker, answered = Attacker(limiter, clock), asyncio.Event()
    guesses = [asyncio.create_task(attacker.send(failed=True, until=answered)) for _ in range(500)]
    await settle()
    answered.set()
    assert sum(await asyncio.gather(*guesses)) == 30


async def test_a_crowd_of_right_keys_is_not_refused(limiter: GuessLimiter, clock: FakeClock) -> None:
    """After a restart hundreds of good clients may come from one address at once: they wait, and all pass."""
    proxy, answered = Attacker(limiter, clock), asyncio.Event()
    keys = [asyncio.create_task(proxy.send(failed=False, until=answered)) for _ in range(500)]
    await settle()
    assert limiter._addresses[IP].under_way == 30
    answered.set()
    assert all(await asyncio.gather(*keys))
    assert limiter._addresses == {}


@pytest.mark.parametrize("wrong", [0, 7, 29, 30, 400])
async def test_a_mixed_crowd(limiter: GuessLimiter, clock: FakeClock, wrong: int) -> None:
    """Below thirty wrong ones every key is looked up; above, thirty wrong ones are."""
    crowd, answered = Attacker(limiter, clock), asyncio.Event()
    right = [asyncio.create_task(crowd.send(failed=False, until=answered)) for _ in range(100)]
    guesses = [asyncio.create_task(crowd.send(failed=True, until=answered)) for _ in range(wrong)]
    await settle()
    answered.set()
    assert all(await asyncio.gather(*right))
    assert sum(await asyncio.gather(*guesses)) == min(wrong, 30)


async def test_who_gives_up_waiting_passes_the_turn_on(clock: FakeClock) -> None:
    """Clients hang up at any moment; nobody waits for ever because of it."""
    limiter = GuessLimiter(max_failures=1)
    crowd, answered = Attacker(limiter, clock), asyncio.Event()
    tasks = [asyncio.create_task(crowd.send(failed=False, until=answered)) for _ in range(4)]
    await settle()
    tasks[1].cancel()
    await settle()
    answered.set()
    while not tasks[0].done():  # noqa: ASYNC110 - an event would let the others go on too far
        await asyncio.sleep(0)
    # The second in line has been given the turn, and goes before it takes it.
    tasks[2].cancel()
    assert await asyncio.wait_for(tasks[3], 1)
    assert [task.cancelled() for task in tasks] == [False, True, True, False]
    assert limiter._addresses == {}


async def test_an_address_that_was_forgotten_meanwhile_harms_nobody(clock: FakeClock) -> None:
    """A flood of other addresses pushed it out while its lookup ran."""
    limiter = GuessLimiter(max_addresses=1)
    address = await limiter.begin("10.0.0.1", clock)
    assert address is not None
    await Attacker(limiter, clock, "10.0.0.2").guess()
    limiter.end(address, clock(), failed=True)
    assert list(limiter._addresses) == ["10.0.0.2"]


async def test_nonsense_is_a_failure_that_leaves_the_lookup_to_others(limiter: GuessLimiter, clock: FakeClock) -> None:
    """Texts that cannot be keys slow an address down, and the one lookup a second stays for who sends a key."""
    nonsense = [limiter.malformed(IP, clock()) for _ in range(100)]
    assert nonsense == [True] * 30 + [False] * 70
    crowd = Attacker(limiter, clock)
    assert await crowd.send(failed=False)
    for _ in range(100):
        clock.step(1)
        assert not any(limiter.malformed(IP, clock()) for _ in range(100))
        assert await crowd.guess(2) == 1
    clock.step(60)
    assert limiter.malformed(IP, clock())


async def test_nonsense_ends_the_waiting_of_guesses(clock: FakeClock) -> None:
    """The failure that slows the address down is told at once to who hoped for a turn."""
    limiter = GuessLimiter(max_failures=2)
    crowd, answered = Attacker(limiter, clock), asyncio.Event()
    looking = [asyncio.create_task(crowd.send(failed=False, until=answered)) for _ in range(2)]
    waiting = asyncio.create_task(crowd.send(failed=False))
    await settle()
    assert limiter.malformed(IP, clock())
    await settle()
    assert not waiting.done()
    assert limiter.malformed(IP, clock())
    assert not await asyncio.wait_for(waiting, 1)
    answered.set()
    assert all(await asyncio.gather(*looking))


async def test_other_addresses_are_not_slowed_down(limiter: GuessLimiter, clock: FakeClock) -> None:
    """Each address pays for itself."""
    await Attacker(limiter, clock).guess(100)
    assert await Attacker(limiter, clock, "192.0.2.2").guess(100) == 30


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
async def test_a_clock_that_steps_back_silences_nobody_for_long(
    limiter: GuessLimiter, clock: FakeClock, step_s: float
) -> None:
    """Failures at times that lie ahead do not count until those times come."""
    attacker = Attacker(limiter, clock)
    await attacker.guess(30)
    clock.step(step_s)
    clock.step(2)
    assert await attacker.guess() == 1


async def test_what_somebody_says_of_an_address_is_held_against_nobody_else(
    limiter: GuessLimiter, clock: FakeClock
) -> None:
    """ASVS 6.1.1: a gateway that names a victim's address slows down neither the victim nor other gateways."""
    assert await Attacker(limiter, clock, said_by="mallory").guess(50) == 30
    assert await Attacker(limiter, clock, said_by="alice").guess() == 1
    assert await Attacker(limiter, clock).guess(50) == 30


async def test_who_names_no_address_pays_itself(limiter: GuessLimiter, clock: FakeClock) -> None:
    """A gateway that hides whose keys it asks about is slowed down as one; another one is not."""
    assert await Attacker(limiter, clock, "", "mallory").guess(50) == 30
    assert await Attacker(limiter, clock, "", "alice").guess() == 1
    assert await Attacker(limiter, clock, "").guess() == 1


async def test_memory_is_bounded(clock: FakeClock) -> None:
    """Neither many addresses nor a long attack from one fill it; the address that failed longest ago is forgotten."""
    limiter = GuessLimiter(max_failures=3, max_addresses=10)
    first = Attacker(limiter, clock, "10.0.0.0")
    await first.guess(3)
    for number in range(1, 10):
        await Attacker(limiter, clock, f"10.0.0.{number}").guess(3)
    clock.step(1)
    assert await first.guess() == 1
    await Attacker(limiter, clock, "10.0.0.99").guess(3)
    assert len(limiter._addresses) == 10
    assert "10.0.0.1" not in limiter._addresses
    assert "10.0.0.0" in limiter._addresses
    for _ in range(1000):
        clock.step(1)
        await first.guess()
    assert len(limiter._addresses["10.0.0.0"].failures.times) <= 3


async def test_the_strictest_setting(clock: FakeClock) -> None:
    """One failure, and the next lookup has to wait."""
    assert await Attacker(GuessLimiter(max_failures=1), clock).guess(2) == 1
