"""P9: how much longer Python takes to start with ``import aitbc``, and as ``aitbc --version``."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from bench.common.goals import Goal
from bench.common.machine import CannotMeasureError, pinned, usable_cores
from bench.common.options import Options
from bench.common.results import Outcome
from bench.common.rounds import added, run_alternating

GOALS = (
    Goal("P9", "import aitbc, wall time over python -c pass", "<=", 80, "ms"),
    Goal("P9b", "aitbc --version, wall time over python -c pass", "<=", 150, "ms"),
)

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import aitbc": [sys.executable, "-c", "import aitbc"],
    "aitbc --version": [str(Path(sys.executable).with_name("aitbc")), "--version"],
}


def measure(options: Options) -> list[Outcome]:
    """Medians of alternating starts on one core, after one start of each that is not counted."""
    for command in COMMANDS.values():
        _start_ms(command, 0)
    measures = {name: partial(_start_ms, command) for name, command in COMMANDS.items()}
    with _on_one_core():
        taken = run_alternating(measures, options.starts)
    base, *subjects = taken
    return [
        Outcome(
            goal,
            added(taken[subject], taken[base]),
            [
                {"round": number + 1, f"{base} ms": round(without, 2), f"{subject} ms": round(with_it, 2)}
                for number, (without, with_it) in enumerate(zip(taken[base], taken[subject], strict=True))
            ],
        )
        for goal, subject in zip(GOALS, subjects, strict=True)
    ]


def _on_one_core() -> nullcontext[None]:
    # Where the system cannot pin, a difference of wall times is still one; a single core is enough too.
    try:
        return pinned(usable_cores()[-1])  # type: ignore[return-value]
    except CannotMeasureError:
        return nullcontext()


def _start_ms(command: Sequence[str], _number: int) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    taken_ms = (time.perf_counter() - started) * 1000
    if done.returncode != 0:
        raise CannotMeasureError(f"{' '.join(command)} exited with {done.returncode}: {done.stderr.strip()}")
    return taken_ms
