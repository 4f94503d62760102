"""P10: the latency that the gate adds at 200 requests/s, against a bare answer on the same server."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import quantiles

from bench.common import open_loop, wrk
from bench.common.goals import Goal
from bench.common.machine import pinned, two_cores
from bench.common.options import Options
from bench.common.processes import Server, running_module
from bench.common.results import Outcome, Round
from bench.common.rounds import added, run_alternating
from bench.common.side_by_side import Side, prime
from bench.p1_check import PATH
from bench.servers.aitbc import running_aitbc

GOALS = (
    Goal("P10", "latency that the gate adds at 200 requests/s, p50", "<=", 0.5, "ms"),
    Goal("P10b", "latency that the gate adds at 200 requests/s, p99", "<=", 2, "ms"),
)

RATE = 200

# At this rate a round must be longer for its p99 to rest on enough requests.
_LONGER = 4

# Above this, the generator itself was late so often that others had its core.
_LATE_MS = 0.5


def measure(options: Options) -> list[Outcome]:
    """Both sides answer the same requests at the same moments; every latency counts from when its request was due."""
    from bench.seed import seed

    cores = two_cores()
    with tempfile.TemporaryDirectory(prefix="aitbc-bench-") as temporary:
        data = Path(temporary) / "data"
        requests = [wrk.Request(PATH, one.key) for one in seed(data, options.tenants)]
        with (
            running_aitbc(data, core=cores.system) as checked,
            running_module("bench.servers.bare", core=cores.system, ready_path="/") as bare,
        ):
            sides = {"aitbc": Side(checked, requests), "bare ASGI": Side(bare, requests)}
            measures = {
                name: partial(_round, name, side, (checked, bare), options, cores.generator)
                for name, side in sides.items()
            }
            for name, side in sides.items():
                with side.server.alone((checked, bare)), pinned(cores.generator):
                    prime(side.server.port, side.requests)
                measures[name](-1)
            return outcomes(run_alternating(measures, options.rounds))


def _round(name: str, side: Side, servers: Sequence[Server], options: Options, core: int, number: int) -> Round:
    due_s = open_loop.due_times(RATE, options.seconds * _LONGER if number >= 0 else options.warm_up_s, seed=number)
    with side.server.alone(servers), pinned(core):
        used_before_s = side.server.cpu_s()
        answered = open_loop.run(side.server.port, side.requests, due_s, seed=number)
        used_s = side.server.cpu_s() - used_before_s
    latency_ms, late_ms = ([each * 1000 for each in times] for times in (answered.latency_s, answered.late_s))
    return {
        "round": number + 1,
        "system": name,
        "requests": len(due_s),
        "seconds": round(due_s[-1], 3),
        "p50_ms": round(_percentile(latency_ms, 50), 4),
        "p99_ms": round(_percentile(latency_ms, 99), 4),
        "max_ms": round(max(latency_ms), 4),
        "generator_late_p99_ms": round(_percentile(late_ms, 99), 4),
        "system_cpu_share": round(used_s / due_s[-1], 3),
    }


def _percentile(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def outcomes(taken: Mapping[str, list[Round]]) -> list[Outcome]:
    """What the first side added to the second."""
    checked, bare = taken.values()
    rounds = [each for turn in zip(checked, bare, strict=True) for each in turn]
    late = [each for each in rounds if each["generator_late_p99_ms"] > _LATE_MS]
    remark = (
        f"In {len(late)} of {len(rounds)} rounds the generator sent 1 in 100 requests more than {_LATE_MS} ms late: "
        "others were at work on its core."
    )
    return [
        Outcome(
            goal,
            added([each[name] for each in checked], [each[name] for each in bare]),
            rounds,
            [remark] if late else [],
        )
        for goal, name in zip(GOALS, ("p50_ms", "p99_ms"), strict=True)
    ]
