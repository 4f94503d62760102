"""P1: the check over HTTP, one process, in memory, against a bare ASGI answer on the same server."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.common import wrk
from bench.common.goals import Goal
from bench.common.machine import two_cores
from bench.common.options import Options
from bench.common.processes import running_module
from bench.common.results import Outcome
from bench.common.side_by_side import Side, compare
from bench.servers.aitbc import running_aitbc

GOALS = (Goal("P1", "the check over HTTP, against a bare ASGI answer on the same server", ">=", 0.85, "ratio"),)

PATH = "/v1/api-keys/self"


def measure(options: Options) -> list[Outcome]:
    """Key check, exact tenant limit, usage count and limit headers on ``PATH``, against ``bench.servers.bare``."""
    from bench.seed import seed

    cores = two_cores()
    wrk.need_wrk()
    with tempfile.TemporaryDirectory(prefix="aitbc-bench-") as temporary:
        folder = Path(temporary)
        data = folder / "data"
        requests = [wrk.Request(PATH, one.key) for one in seed(data, options.tenants)]
        with (
            running_aitbc(data, core=cores.system) as checked,
            running_module("bench.servers.bare", core=cores.system, ready_path="/") as bare,
        ):
            sides = {"aitbc": Side(checked, requests), "bare ASGI": Side(bare, requests)}
            return [compare(GOALS[0], sides, options, folder=folder, core=cores.generator)]
