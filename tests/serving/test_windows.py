"""Limit windows in a file between two runs: what is too old, damaged or cannot be written is no disaster."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import pytest

from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.records import limit_set, tenant_record
from aitbc_server.gate.store_memory import MemoryStore
from aitbc_server.serving.windows import kept_windows

T0 = 1_800_000_000_000_000
LIMITS = limit_set(tenant_record("acme", "acme", "two", 2, suspended=False), "k" * 12, None)


class Clock:
    """A clock that a test turns."""

    now_us = T0

    def __call__(self) -> int:
        """The time in microseconds."""
        return self.now_us


@pytest.fixture
def clock() -> Clock:
    """A clock at T0."""
    return Clock()


async def allowed(store: MemoryStore) -> bool:
    """Whether one more request of the tenant is let through."""
    return (await store.take("acme", LIMITS, 1, ("acme", "live", "k" * 12), "jobs.list", "allowed")).allowed


async def use_up(path: Path, clock: Clock) -> None:
    """A run in which the tenant used its whole limit."""
    store = MemoryStore(clock, UsageCounter())
    async with kept_windows(store, path, clock):
        assert [await allowed(store) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(("later_s", "expected"), [(59, False), (60, True)])
async def test_a_window_holds_over_a_restart_until_it_is_over(
    tmp_path: Path, clock: Clock, later_s: int, expected: bool
) -> None:
    """Never more than N in any 60 s, also across two runs, and not a second longer."""
    await use_up(tmp_path / "limits", clock)
    clock.now_us += later_s * 1_000_000
    store = MemoryStore(clock, UsageCounter())
    async with kept_windows(store, tmp_path / "limits", clock):
        assert not (tmp_path / "limits").exists()
        assert await allowed(store) is expected


@pytest.mark.parametrize(
    "damage",
    [b"", b"\xff" * 100, msgspec.msgpack.encode([["acme", "", T0, "never"]]), msgspec.msgpack.encode({"a": 1})],
)
async def test_a_damaged_file_is_ignored_with_a_line_in_the_log(
    tmp_path: Path, clock: Clock, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A torn file costs the windows in it and nothing else."""
    (tmp_path / "limits").write_bytes(damage)
    store = MemoryStore(clock, UsageCounter())
    async with kept_windows(store, tmp_path / "limits", clock):
        assert await allowed(store)
    assert "is damaged and ignored" in caplog.text
    assert (tmp_path / "limits").exists(), "the new run keeps its own"


async def test_a_full_disk_does_not_break_the_stop(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Windows that cannot be written are lost, and the log says so; nothing is raised."""
    with caplog.at_level(logging.ERROR):
        await use_up(tmp_path / "no such folder" / "limits", clock)
    assert "could not be kept" in caplog.text
