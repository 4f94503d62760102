"""The machine: its cores, who runs on which, and what it is called in the results."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

# Above this load, somebody else is at work too, and the figures are theirs as much as ours.
QUIET_LOAD = 0.7


class CannotMeasureError(Exception):
    """This machine cannot take this measurement; the text says why and what to do."""


class Cores(NamedTuple):
    """One core for the system under test, another one for whoever loads it."""

    system: int
    generator: int


def two_cores() -> Cores:
    """The two cores of a side-by-side measurement. Raises CannotMeasureError where there is only one."""
    cores = usable_cores()
    if len(cores) < 2:
        raise CannotMeasureError(
            "only one core may be used: server and load generator would take each other's time. Use two or more."
        )
    # Interrupts tend to arrive on the first core: the generator has time to spare for them.
    return Cores(system=cores[-1], generator=cores[0])


def usable_cores() -> list[int]:
    """The cores that this process may run on. Raises CannotMeasureError where the system cannot pin."""
    if not hasattr(os, "sched_getaffinity"):
        raise CannotMeasureError(f"{platform.system()} cannot pin a process to a core. Use Linux.")
    return sorted(os.sched_getaffinity(0))


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Everything that is started meanwhile runs on ``core`` alone, and so do its threads and children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def need_program(name: str, remedy: str) -> str:
    """The path of a program. Raises CannotMeasureError, with the remedy, where it is missing."""
    path = shutil.which(name)
    if path is None:
        raise CannotMeasureError(f"{name} is missing. hint: {remedy}")
    return path


def description() -> str:
    """One line: processor, cores, system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, {platform.system()} {platform.machine()}"


def load_warning() -> str | None:
    """A sentence when others are at work on this machine; None when it is quiet."""
    load = os.getloadavg()[0]
    if load <= QUIET_LOAD:
        return None
    return f"The machine was not quiet before the measurement (load {load:.1f})."


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"
