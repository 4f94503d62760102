"""P4: the check over HTTP against what a team would take from the shelf, each peer by itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.common import wrk
from bench.common.goals import Goal
from bench.common.machine import two_cores
from bench.common.options import Options
from bench.common.results import Outcome
from bench.common.side_by_side import Side, compare
from bench.p1_check import PATH
from bench.peers.slow import PEERS, Peer
from bench.servers.aitbc import running_aitbc


class AgainstPeer:
    """Our check against one peer; ``GOALS`` holds its one goal."""

    def __init__(self, goal_id: str, peer: Peer, bound: float) -> None:
        self.peer = peer.name
        self.GOALS = (Goal(goal_id, f"the check over HTTP, against {peer.title}", ">=", bound, "ratio"),)
        self._peer = peer

    def measure(self, options: Options) -> list[Outcome]:
        """Each with keys of its own, as many of them; both check in memory what they can keep there."""
        from bench.seed import seed

        cores = two_cores()
        wrk.need_wrk()
        versions = self._peer.versions()
        with tempfile.TemporaryDirectory(prefix="aitbc-bench-") as temporary:
            folder = Path(temporary)
            own = folder / "peer"
            own.mkdir()
            requests = [wrk.Request(PATH, one.key) for one in seed(folder / "data", options.tenants)]
            with (
                running_aitbc(folder / "data", core=cores.system) as ours,
                self._peer.running(options.tenants, own, cores.system) as theirs,
            ):
                sides = {"aitbc": Side(ours, requests), self._peer.title: theirs}
                outcome = compare(self.GOALS[0], sides, options, folder=folder, core=cores.generator)
        return [outcome.and_also(versions)]


#: Against slowapi, djangorestframework-api-key, Better Auth, LiteLLM.
MEASURES = tuple(
    AgainstPeer(f"P4{letter}", peer, bound)
    for letter, peer, bound in zip("abcd", PEERS, (10, 20, 20, 200), strict=True)
)
