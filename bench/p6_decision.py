"""P6: decisions in process, on cached keys, without HTTP: how many a second on one core."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.common.goals import Goal
from bench.common.machine import pinned, usable_cores
from bench.common.options import Options
from bench.common.results import Outcome, Round
from bench.common.side_by_side import remarks

if TYPE_CHECKING:
    from aitbc_server.gate.gate import Gate

GOALS = (Goal("P6", "decisions in process (cached key), a core", ">=", 150_000, "1/s"),)

_DRAWN = 100_000


def measure(options: Options) -> list[Outcome]:
    """The gate as the middleware asks it: digest, cache, decision, exact window, usage count, last use."""
    from bench.seed import seed

    with tempfile.TemporaryDirectory(prefix="aitbc-bench-") as temporary, pinned(usable_cores()[-1]):
        data = Path(temporary) / "data"
        keys = [one.key.encode() for one in seed(data, options.tenants)]
        rounds = asyncio.run(_rounds(data, keys, options))
    return [Outcome(GOALS[0], median(each["decisions_per_s"] for each in rounds), rounds, remarks(rounds))]


async def _rounds(data: Path, keys: Sequence[bytes], options: Options) -> list[Round]:
    from bench.common.gate import gate_over

    drawn = random.Random(0).choices(keys, k=_DRAWN)  # noqa: S311
    async with gate_over(data) as parts:
        await _decide(parts.gate, keys)
        await _for(parts.gate, drawn, options.warm_up_s)
        return [
            {"round": number + 1, **await _for(parts.gate, drawn, options.seconds)} for number in range(options.rounds)
        ]


async def _for(gate: Gate, drawn: Sequence[bytes], seconds: float) -> Round:
    decisions, started, used_before_s = 0, time.perf_counter(), time.process_time()
    while (passed_s := time.perf_counter() - started) < seconds:
        await _decide(gate, drawn)
        decisions += len(drawn)
    return {
        "system": "the gate",
        "decisions": decisions,
        "seconds": round(passed_s, 3),
        "decisions_per_s": round(decisions / passed_s),
        "system_cpu_share": round((time.process_time() - used_before_s) / passed_s, 3),
    }


async def _decide(gate: Gate, keys: Sequence[bytes]) -> None:
    """Decide on each, in turn. Raises AssertionError for a refusal: it would be another measurement."""
    from bench.common.gate import FACTS

    for key in keys:
        decision = gate.check_cached(key, FACTS, 1) or await gate.check(key, FACTS, 1)
        assert decision.refusal is None, decision.refusal
