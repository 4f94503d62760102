"""What can be measured: one module a goal, in the order of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bench import (
    p1_check,
    p2_memory,
    p3_shared,
    p4_peers,
    p5_job,
    p6_decision,
    p7_size,
    p8_memory,
    p9_startup,
    p10_latency,
)
from bench.common.goals import Goal
from bench.common.options import Options
from bench.common.results import Outcome
from bench.peers import haproxy, nginx


class Measure(Protocol):
    """What such a module offers."""

    @property
    def GOALS(self) -> Sequence[Goal]:  # noqa: N802
        """The goals that it measures together."""
        ...

    def measure(self, options: Options) -> list[Outcome]:
        """An outcome for each of ``GOALS``. Raises CannotMeasureError, ServerError, LoadError."""
        ...


MEASURES: tuple[Measure, ...] = (
    p1_check,
    p2_memory,
    p3_shared,
    *p4_peers.MEASURES,
    p5_job,
    p6_decision,
    p7_size,
    p8_memory,
    p9_startup,
    p10_latency,
)

GOAL_IDS = tuple(goal.id for module in MEASURES for goal in module.GOALS)

# HAProxy has no goal: it is shown beside nginx.
_PEER_OF = {"P2": nginx.NAME, "P3": nginx.NAME, "P3b": nginx.NAME} | {
    each.GOALS[0].id: each.peer for each in p4_peers.MEASURES
}
PEER_NAMES = (nginx.NAME, haproxy.NAME, *(each.peer for each in p4_peers.MEASURES))


def wanted(only: Sequence[str] | None, options: Options) -> list[Measure]:
    """The modules of these goals, all of them for None; those against a peer only where the peer is wanted."""
    return [
        each
        for each in MEASURES
        if (only is None or any(goal.id in only for goal in each.GOALS))
        and all(goal.id not in _PEER_OF or options.wants(_PEER_OF[goal.id]) for goal in each.GOALS)
    ]
