"""Counting decisions: nothing is counted twice or lost, whatever the clock does and whenever counts are stored."""

from __future__ import annotations

import random
from collections import Counter
from itertools import count

from aitbc_server.gate.counter import MINUTE_US, CountKey, UsageCounter
from aitbc_server.gate.records import UsageId

ALICE: UsageId = ("alice", "live", "kid000000001")
BOB: UsageId = ("bob", "test", "kid000000002")
START_US = 1_000_000 * MINUTE_US


def counter() -> UsageCounter:
    """A counter whose sources are numbered."""
    numbers = count(1)
    return UsageCounter(lambda: f"run_{next(numbers)}")


def test_counts_are_told_apart_by_key_operation_outcome_and_minute() -> None:
    """One count for each decision, in the minute of its time."""
    usage = counter()
    for at_us, who, operation, outcome in [
        (START_US, ALICE, "jobs.create", "allowed"),
        (START_US + MINUTE_US - 1, ALICE, "jobs.create", "allowed"),
        (START_US, ALICE, "jobs.create", "rate_limit_exceeded"),
        (START_US, ALICE, "jobs.list", "allowed"),
        (START_US, BOB, "jobs.create", "allowed"),
        (START_US + MINUTE_US, ALICE, "jobs.create", "allowed"),
    ]:
        usage.add(at_us, who, operation, outcome)
    assert Counter({(minute - START_US, key): n for minute, key, n in usage.totals()}) == Counter(
        {
            (0, (ALICE, "jobs.create", "allowed")): 2,
            (0, (ALICE, "jobs.create", "rate_limit_exceeded")): 1,
            (0, (ALICE, "jobs.list", "allowed")): 1,
            (0, (BOB, "jobs.create", "allowed")): 1,
            (MINUTE_US, (ALICE, "jobs.create", "allowed")): 1,
        }
    )


def test_a_tenant_is_asked_for_alone() -> None:
    """What one tenant counted is found without looking at the others."""
    usage = counter()
    usage.add(START_US, ALICE, "jobs.create", "allowed")
    usage.add(START_US, BOB, "jobs.create", "allowed")
    usage.add(START_US, BOB, "jobs.create", "allowed")
    (ledger,) = usage.ledgers()
    assert [(key[0], n) for _, key, n in ledger.of_tenant("bob")] == [(BOB, 2)]
    assert list(ledger.of_tenant("carol")) == []


def test_what_went_on_while_it_was_stored_is_kept() -> None:
    """A ledger that was stored is let go of only if nothing was counted in it meanwhile."""
    usage = counter()
    usage.add(START_US, ALICE, "jobs.create", "allowed")
    (ledger,) = usage.ledgers()
    stored = ledger.total
    usage.add(START_US, ALICE, "jobs.create", "allowed")
    assert not usage.forget(ledger, stored)
    assert [n for _, _, n in usage.totals()] == [2]
    assert usage.forget(ledger, 2)
    assert usage.totals() == []


def test_a_stored_minute_is_counted_on_under_another_source() -> None:
    """A count that begins at 0 again must not vanish below the stored one: it gets a source of its own."""
    usage = counter()
    usage.add(START_US, ALICE, "jobs.create", "allowed")
    (ledger,) = usage.ledgers()
    assert usage.forget(ledger, 1)
    usage.add(START_US + 1, ALICE, "jobs.create", "allowed")
    (again,) = usage.ledgers()
    assert (ledger.source, again.source) == ("run_1", "run_2")
    assert again.minute_us == START_US
    usage.add(START_US + MINUTE_US, ALICE, "jobs.create", "allowed")
    assert [each.source for each in usage.ledgers()] == ["run_2", "run_2"]


def test_an_earlier_run_is_held_under_its_own_source() -> None:
    """Counts that are taken back from a journal stand beside the present ones, also in the same minute."""
    usage = counter()
    usage.add(START_US, ALICE, "jobs.create", "allowed")
    usage.restore("run_0", START_US, {(ALICE, "jobs.create", "allowed"): 5})
    assert {each.source: each.total for each in usage.ledgers()} == {"run_0": 5, "run_1": 1}
    old = next(each for each in usage.ledgers() if each.source == "run_0")
    assert usage.forget(old, 5)
    usage.add(START_US, ALICE, "jobs.create", "allowed")
    assert {each.source: each.total for each in usage.ledgers()} == {"run_1": 2}


def test_no_storing_and_no_clock_loses_a_count() -> None:
    """Random decisions, a clock that jumps both ways, ledgers stored by "the larger wins" at random: exact sums."""
    for seed in range(200):
        chance = random.Random(seed)
        usage, expected = counter(), Counter[CountKey]()
        stored: dict[tuple[str, int, CountKey], int] = {}
        now_us = START_US
        for _ in range(300):
            now_us += chance.choice([1, 1, 20_000_000, MINUTE_US, -30_000_000, -3 * MINUTE_US])
            key = (chance.choice([ALICE, BOB]), chance.choice("ab"), "allowed")
            usage.add(now_us, *key)
            expected[key] += 1
            if chance.random() < 0.2:
                ledger = chance.choice(usage.ledgers())
                for each, n in ledger.counts.items():
                    name = (ledger.source, ledger.minute_us, each)
                    stored[name] = max(stored.get(name, 0), n)
                assert usage.forget(ledger, ledger.total)
        found = Counter[CountKey]()
        for ledger in usage.ledgers():
            for each, n in ledger.counts.items():
                assert (ledger.source, ledger.minute_us, each) not in stored
                found[each] += n
        for (_, _, each), n in stored.items():
            found[each] += n
        assert found == expected, seed
