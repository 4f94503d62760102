"""P5: GET /v1/jobs/{id} with the gate, against the same route of the same app without it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from bench.common import wrk
from bench.common.goals import Goal
from bench.common.machine import two_cores
from bench.common.options import Options
from bench.common.processes import running_module
from bench.common.results import Outcome
from bench.common.side_by_side import Side, compare
from bench.servers.aitbc import READY, running_aitbc

GOALS = (Goal("P5", "GET /v1/jobs/{id} with the gate, against the same route without", ">=", 0.90, "ratio"),)


def measure(options: Options) -> list[Outcome]:
    """Each tenant asks for its own job; both sides read it from a database of their own with the same content."""
    from bench.seed import seed

    cores = two_cores()
    wrk.need_wrk()
    with tempfile.TemporaryDirectory(prefix="aitbc-bench-") as temporary:
        folder = Path(temporary)
        with_gate, without_gate, listed = folder / "with-gate", folder / "without-gate", folder / "listed.txt"
        requests = [
            wrk.Request(f"/v1/jobs/{one.job_id}", one.key) for one in seed(with_gate, options.tenants, jobs=True)
        ]
        wrk.write_requests(listed, requests)
        shutil.copytree(with_gate, without_gate)
        ungated_arguments = ["--data-dir", str(without_gate), "--requests", str(listed)]
        with (
            running_aitbc(with_gate, core=cores.system) as gated,
            running_module("bench.servers.ungated", *ungated_arguments, core=cores.system, ready_path=READY) as ungated,
        ):
            sides = {"with the gate": Side(gated, requests), "without": Side(ungated, requests)}
            return [compare(GOALS[0], sides, options, folder=folder, core=cores.generator)]
