"""Pinning, and the machines that are refused."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from bench.common import machine
from bench.common.machine import CannotMeasureError
from bench.common.processes import ticks_of_group

needs_pinning = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin")


@needs_pinning
def test_what_is_started_while_pinned_stays_on_the_core() -> None:
    """A child runs on the one core, and this process is free again afterwards."""
    before = os.sched_getaffinity(0)
    core = max(before)
    with machine.pinned(core):
        shown = subprocess.run(
            [sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"],
            capture_output=True,
            text=True,
            check=True,
        )
    assert shown.stdout.strip() == str({core})
    assert os.sched_getaffinity(0) == before


def test_one_core_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one core, server and generator would take each other's time: nothing is measured."""
    monkeypatch.setattr(machine, "usable_cores", lambda: [0])
    with pytest.raises(CannotMeasureError, match="only one core"):
        machine.two_cores()


def test_the_generator_gets_a_core_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the same core for both."""
    monkeypatch.setattr(machine, "usable_cores", lambda: [2, 3])
    assert machine.two_cores() == machine.Cores(system=3, generator=2)


@pytest.mark.parametrize(("load", "warned"), [(0.3, False), (1.5, True)])
def test_a_busy_machine_is_told(load: float, warned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures from a machine with other work on it say so."""
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    assert (machine.load_warning() is not None) is warned


def test_ticks_are_read_behind_an_odd_name() -> None:
    """A process's name may hold spaces and parentheses; another group's processes count nothing."""
    stat = "4242 (we) (ird) S 1 77 77 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 100 200 300"
    assert ticks_of_group(stat, 77) == 200
    assert ticks_of_group(stat, 78) == 0
