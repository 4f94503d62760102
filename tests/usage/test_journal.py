"""The usage journal: what was written is read back, whatever became of the last bytes."""

from __future__ import annotations

import logging
import random
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aitbc_server.gate.counter import MINUTE_US, CountKey, Tally, UsageCounter
from aitbc_server.usage import journal as journal_module
from aitbc_server.usage.journal import Journal, JournalInUseError

START_US = 1_000_000 * MINUTE_US


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal lies."""
    return tmp_path / "usage.journal"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    """A journal that was just begun."""
    journal = Journal(path)
    journal.rewrite(())
    yield journal
    journal.close()


def count_some(usage: UsageCounter, chance: random.Random, minute: int = 0) -> None:
    """A few random decisions in one minute."""
    for _ in range(chance.randint(1, 20)):
        who = (f"tenant-{chance.randint(1, 3)}", chance.choice(["live", "test"]), f"kid{chance.randint(1, 5):09}")
        usage.add(START_US + minute * MINUTE_US, who, chance.choice(["jobs.create", "jobs.list"]), "allowed")


def held(usage: UsageCounter) -> dict[tuple[str, int], dict[CountKey, int]]:
    """What the counter holds."""
    return {(each.source, each.minute_us): dict(each.counts) for each in usage.ledgers()}


def read(journal: Journal) -> dict[tuple[str, int], dict[CountKey, int]]:
    """What the file holds."""
    return {(each.source, each.minute_us): dict(each.counts) for each in journal.read()}


def test_every_append_is_read_back(journal: Journal) -> None:
    """After each append the file holds exactly what was counted, over several minutes and rewrites."""
    chance, usage = random.Random(1), UsageCounter()
    for step in range(50):
        count_some(usage, chance, minute=step // 10)
        if step % 17 == 16:
            journal.rewrite(usage.ledgers())
        else:
            journal.append(usage.ledgers())
        assert read(journal) == held(usage)
        assert not any(each.take_changed() for each in usage.ledgers())


def test_only_what_changed_is_written(journal: Journal, path: Path) -> None:
    """A flush costs a few bytes for each count that changed, and none where nothing did."""
    usage = UsageCounter()
    for number in range(1000):
        usage.add(START_US, ("a-tenant", "live", f"kid{number:09}"), "jobs.create", "allowed")
    journal.append(usage.ledgers())
    size = path.stat().st_size
    journal.append(usage.ledgers())
    assert path.stat().st_size == size
    for number in range(100):
        usage.add(START_US, ("a-tenant", "live", f"kid{number:09}"), "jobs.create", "allowed")
    journal.append(usage.ledgers())
    assert path.stat().st_size - size < 100 * 6 + 100


def test_two_who_count_one_key_are_one_count(journal: Journal) -> None:
    """A key that was loaded again is counted at another place: what both counted is added up, in memory and here."""
    usage, who = UsageCounter(), ("a-tenant", "live", "kid000000001")
    places = [Tally(usage_id=who, operation_id="jobs.list", outcome="allowed") for _ in range(2)]
    for step in range(3):
        for place in places:
            usage.raise_held(place, START_US)
        if step == 1:
            journal.rewrite(usage.ledgers())
        else:
            journal.append(usage.ledgers())
        assert read(journal) == held(usage) == {(usage.source, START_US): {(who, "jobs.list", "allowed"): 2 * step + 2}}
        assert [count.decisions for each in usage.ledgers() for count in each.of_tenant("a-tenant")] == [2 * step + 2]


def test_a_file_that_cannot_be_begun_anew_is_not_written_on(path: Path, journal: Journal) -> None:
    """Its numbers are no longer those that the journal gives: what followed would be counted for other keys."""
    usage = UsageCounter()
    count_some(usage, random.Random(6))
    journal.append(usage.ledgers())
    before = read(journal)
    path.with_suffix(".new").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        journal.rewrite(usage.ledgers())
    assert journal.needs_rewrite
    assert read(journal) == before


def test_a_torn_tail_is_ignored_and_reported(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Cut at any byte, the file still gives every whole frame before the cut; the log says that something is lost."""
    chance, usage = random.Random(2), UsageCounter()
    journal = Journal(path)
    journal.rewrite(())
    states = [(0, held(usage))]
    for _ in range(4):
        count_some(usage, chance)
        journal.append(usage.ledgers())
        states.append((path.stat().st_size, held(usage)))
    whole = path.read_bytes()
    caplog.set_level(logging.WARNING)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        caplog.clear()
        size, expected = [state for state in states if state[0] <= length][-1]
        assert read(journal) == expected, length
        assert bool(caplog.records) == (length != size)
    journal.close()


@pytest.mark.parametrize("tail", [bytes(64), b"\xff" * 64, b"\x01\x00\x00\x00" * 4])
def test_damage_behind_the_last_frame_harms_nothing(path: Path, journal: Journal, tail: bytes) -> None:
    """Zeros and garbage, as a power cut may leave them, end the reading and no more."""
    usage = UsageCounter()
    count_some(usage, random.Random(3))
    journal.append(usage.ledgers())
    with path.open("ab") as file:
        file.write(tail)
    assert read(journal) == held(usage)


def test_a_flipped_bit_is_noticed(path: Path, journal: Journal) -> None:
    """No damaged frame is taken for counts."""
    usage = UsageCounter()
    count_some(usage, random.Random(4))
    journal.append(usage.ledgers())
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        assert read(journal) == {}, position


def test_a_failed_write_is_made_good(path: Path, journal: Journal) -> None:
    """A disk that was full for a while: nothing is appended, and the file is written anew when there is room."""
    usage = UsageCounter()
    count_some(usage, random.Random(5))
    journal.append(usage.ledgers())
    for number in range(100):
        usage.add(START_US, ("another", "live", f"kid{number:09}"), "jobs.create", "allowed")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="usage journal took 10 of"):
            journal.append(usage.ledgers())
        with pytest.raises(OSError, match="usage journal took"):
            journal.rewrite(usage.ledgers())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    asked = journal.needs_rewrite
    journal.rewrite(usage.ledgers())
    assert (asked, journal.needs_rewrite) == (True, False)
    assert read(journal) == held(usage)


def test_a_file_that_grew_large_asks_to_be_rewritten(
    path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal never grows without bound, however long the database is away."""
    monkeypatch.setattr(journal_module, "MIN_COMPACT_BYTES", 2000)
    usage = UsageCounter()
    journal.rewrite(())
    largest = 0
    for _ in range(2000):
        usage.add(START_US, ("a-tenant", "live", "kid000000001"), "jobs.create", "allowed")
        journal.append(usage.ledgers())
        largest = max(largest, path.stat().st_size)
        if journal.needs_rewrite:
            journal.rewrite(usage.ledgers())
    assert 2000 < largest < 2100
    assert read(journal) == held(usage)


def test_only_its_owner_may_read_it(path: Path, journal: Journal) -> None:
    """The file says who uses which keys how much: 0600."""
    journal.rewrite(())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_servers_never_write_to_one_journal(path: Path) -> None:
    """A second server on the same folder is told so; the lock ends with the first."""
    first = Journal(path)
    with pytest.raises(JournalInUseError, match="another server is running on this data folder"):
        Journal(path)
    first.close()
    Journal(path).close()


def test_the_lock_does_not_outlive_its_process(path: Path) -> None:
    """Only a lock that the system lets go of by itself survives a SIGKILL of its holder."""
    script = "import sys, pathlib; from aitbc_server.usage.journal import Journal; Journal(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", script, path], check=True)
    Journal(path).close()
