"""P3, P3b: the check with a limit that nodes share, against nginx + Lua, each with a Valkey of its own.

For P3 both sides run the same exact-window script; for P3b nginx runs a lighter one, GCRA. A gateway calls its script
once a request; the server once a turn of its event loop, for all requests that wait.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.common import wrk
from bench.common.goals import Goal
from bench.common.machine import two_cores
from bench.common.options import Options
from bench.common.processes import Server
from bench.common.results import Outcome
from bench.common.side_by_side import Side, alternating, outcome
from bench.p1_check import PATH
from bench.peers import nginx
from bench.servers import valkey
from bench.servers.aitbc_node import running_node, was_alone

GOALS = (
    Goal("P3", "the check with Valkey, against nginx + Lua + Valkey with the same exact script", ">=", 1.2, "ratio"),
    Goal("P3b", "the check with Valkey, against nginx + Lua + Valkey with a GCRA script", ">=", 0.8, "ratio"),
)

OURS, EXACT, GCRA = "aitbc + Valkey", "nginx + Lua + Valkey, exact", "nginx + Lua + Valkey, GCRA"


def measure(options: Options) -> list[Outcome]:
    """Three systems on one core, each with the Valkey that it calls; they share nothing."""
    from bench.peers import exact_call
    from bench.seed import BENCH_LIMIT, seed

    cores = two_cores()
    wrk.need_wrk()
    versions = {"valkey": valkey.version(), **nginx.versions()}
    with tempfile.TemporaryDirectory(prefix="aitbc-bench-") as temporary, ExitStack() as running:
        folder = Path(temporary)
        seeded = seed(folder / "data", options.tenants)
        store = partial(_store, running, folder, cores.system)
        node = running_node(folder / "data", store("ours"), core=cores.system)
        exact, gcra = exact_call.script(), exact_call.gcra_script()
        known = [(one.key, one.tenant_id) for one in seeded]
        messages = [(key, *exact_call.message(tenant, key, BENCH_LIMIT).words()) for key, tenant in known]
        with_script = partial(nginx.running_nginx, core=cores.system)
        servers = {
            OURS: node,
            EXACT: with_script("exact", messages, folder / "exact", store=store("exact", exact.text), script=exact.sha),
            GCRA: with_script("gcra", known, folder / "gcra", store=store("gcra", gcra.text), script=gcra.sha),
        }
        sides = {
            name: Side(
                running.enter_context(server),
                [wrk.Request(PATH if name == OURS else nginx.PATH, one.key) for one in seeded],
            )
            for name, server in servers.items()
        }
        taken = alternating(sides, options, folder=folder, core=cores.generator)
        if was_alone(sides[OURS].server):
            raise wrk.LoadError("the node lost its Valkey in between, and decided for itself: measure once more")
    bases = zip(GOALS, (EXACT, GCRA), strict=True)
    return [outcome(goal, taken, OURS, base).and_also(versions) for goal, base in bases]


def _store(running: ExitStack, folder: Path, core: int, name: str, script: str = "") -> Server:
    own = folder / f"valkey-{name}"
    own.mkdir()
    store = running.enter_context(valkey.running_valkey(own, core=core))
    if script:
        valkey.call(store, "SCRIPT", "LOAD", script)
    return store
