"""P2: the check over HTTP, in memory, against nginx + Lua in memory; HAProxy is shown beside them."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.common import wrk
from bench.common.cache import MissingPeerError
from bench.common.goals import Goal
from bench.common.machine import two_cores
from bench.common.options import Options
from bench.common.results import Outcome
from bench.common.side_by_side import Side, compare
from bench.p1_check import PATH
from bench.peers import haproxy, nginx
from bench.servers.aitbc import running_aitbc

GOALS = (Goal("P2", "the check over HTTP, against nginx + Lua in memory", ">=", 0.45, "ratio"),)


def measure(options: Options) -> list[Outcome]:
    """Both in memory, one process each: key, tenant limit (ours exact, theirs a fixed window), count, limit headers."""
    from bench.seed import seed

    cores = two_cores()
    wrk.need_wrk()
    versions = nginx.versions()
    with tempfile.TemporaryDirectory(prefix="aitbc-bench-") as temporary, ExitStack() as running:
        folder = Path(temporary)
        seeded = seed(folder / "data", options.tenants)
        known = [(one.key, one.tenant_id) for one in seeded]
        ours = running.enter_context(running_aitbc(folder / "data", core=cores.system))
        theirs = running.enter_context(nginx.running_nginx("memory", known, folder / "nginx", core=cores.system))
        sides = {
            "aitbc": Side(ours, [wrk.Request(PATH, key) for key, _ in known]),
            "nginx + Lua": Side(theirs, [wrk.Request(nginx.PATH, key) for key, _ in known]),
        }
        remark = ""
        if options.wants(haproxy.NAME):
            try:
                versions |= haproxy.versions()
                third = running.enter_context(haproxy.running_haproxy(known, folder / "haproxy", core=cores.system))
                sides["HAProxy"] = Side(third, sides["nginx + Lua"].requests)
            except MissingPeerError as error:
                remark = f"HAProxy is not shown beside them: {error}."
        outcome = compare(GOALS[0], sides, options, folder=folder, core=cores.generator)
    return [outcome.and_also(versions, [remark] if remark else [])]
