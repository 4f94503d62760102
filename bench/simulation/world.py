"""Regions, nodes and stores, and the way of a request from its node to a store and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from bench.simulation.engine import Simulation, Store
from bench.simulation.judge import Judge
from bench.simulation.trace import Request

#: Whether a request is allowed, at the moment at which the store looks at it.
Decide = Callable[[Request, float], bool]


class Topology(NamedTuple):
    """Where things are. ``round_trips_s`` is between the nodes of one region and the store of another.

    The figures between regions are about what public clouds have between Europe, the east of America and Asia.
    """

    round_trips_s: Sequence[Sequence[float]] = (
        (0.0005, 0.080, 0.220),
        (0.080, 0.0005, 0.160),
        (0.220, 0.160, 0.0005),
    )
    nodes: int = 4
    #: Processor time of a node for a request: while it is at work, requests wait and go to the store together.
    node_request_s: float = 40e-6
    store_call_s: float = 10e-6
    store_request_s: float = 7e-6

    @property
    def regions(self) -> int:
        """How many there are."""
        return len(self.round_trips_s)


class World:
    """One run: everything that a way of limiting works with."""

    def __init__(self, topology: Topology, limit_of: Callable[[int], int]) -> None:
        self.simulation = Simulation()
        self.topology = topology
        self.limit_of = limit_of
        self.judge = Judge(limit_of)
        self.stores = [
            Store(self.simulation, call_s=topology.store_call_s, request_s=topology.store_request_s)
            for _ in range(topology.regions)
        ]
        self._waiting: defaultdict[tuple[int, int, int], list[tuple[Request, Decide]]] = defaultdict(list)
        self._free_at_s: defaultdict[tuple[int, int], float] = defaultdict(float)

    @property
    def now_s(self) -> float:
        """The time."""
        return self.simulation.now_s

    def one_way_s(self, here: int, there: int) -> float:
        """How long a message travels."""
        return self.topology.round_trips_s[here][there] / 2

    def decide_here(self, request: Request, *, allowed: bool) -> None:
        """The node decides by itself, at once."""
        self.judge.decided(request, self.now_s, allowed=allowed)
        self.judge.answered(0.0)

    def ask(self, request: Request, region: int, decide: Decide) -> None:
        """Let the store of ``region`` decide. All that waits in one turn of a node's loop travels in one call."""
        waiting = self._waiting[request.region, request.node, region]
        waiting.append((request, decide))
        if len(waiting) == 1:
            free_at_s = self._free_at_s[request.region, request.node]
            turn = partial(self._send, request.region, request.node, region)
            self.simulation.at(max(self.now_s, free_at_s), turn)

    def _send(self, here: int, node: int, region: int) -> None:
        batch = self._waiting.pop((here, node, region))
        self._free_at_s[here, node] = self.now_s + self.topology.node_request_s * len(batch)
        travel_s = self.one_way_s(here, region)
        store = self.stores[region]
        self.simulation.after(travel_s, lambda: store.call(len(batch), partial(self._decide, batch, travel_s)))

    def _decide(self, batch: Sequence[tuple[Request, Decide]], travel_s: float) -> None:
        now_s = self.now_s
        for request, decide in batch:
            self.judge.decided(request, now_s, allowed=decide(request, now_s))
            self.judge.answered(now_s + travel_s - request.time_s)
