"""The same arrivals for every way of limiting, and the figures of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from statistics import quantiles
from typing import NamedTuple

from bench.simulation.policies import AtHome, Exact, FixedWindow, Policy, SlidingCounter, Synchronised
from bench.simulation.shares import MovingShares, Shares
from bench.simulation.trace import Load, arrivals, limit_of
from bench.simulation.world import Topology, World

#: What is compared, by the name that people read.
POLICIES: Mapping[str, Callable[[World], Policy]] = {
    "exact, one home store a tenant": lambda world: AtHome(world, Exact),
    "exact, shares that move": MovingShares,
    "exact, equal shares": Shares,
    "fixed windows, one home store": lambda world: AtHome(world, FixedWindow),
    "sliding counters, one home store": lambda world: AtHome(world, SlidingCounter),
    "local, told every second": lambda world: Synchronised(world, 1.0),
    "local, told every 10 s": lambda world: Synchronised(world, 10.0),
}

# What is still on its way when the last request has arrived.
_AFTERWARDS_S = 5.0


class Figures(NamedTuple):
    """One way's figures. ``over`` and ``wrongly_refused`` are shares of what was allowed, and of what arrived."""

    name: str
    requests: int
    refused: float
    worst_window: float
    over: float
    tenants_over: int
    limited_tenants: int
    wrongly_refused: float
    p50_s: float
    p99_s: float
    calls_a_request: float


def compare(load: Load, topology: Topology, seed: int) -> list[Figures]:
    """Every way on the same arrivals."""
    return [run(name, load, topology, seed) for name in POLICIES]


def run(name: str, load: Load, topology: Topology, seed: int) -> Figures:
    """One way of limiting."""
    world = World(topology, partial(limit_of, load=load))
    policy = POLICIES[name](world)
    last_s = 0.0
    for request in arrivals(load, regions=topology.regions, nodes=topology.nodes, seed=seed):
        world.simulation.at(request.time_s, partial(policy.ask, request))
        last_s = max(last_s, request.time_s)
    world.simulation.run(last_s + _AFTERWARDS_S)
    judge = world.judge
    requests = judge.allowed + judge.refused
    hundredths = quantiles(judge.added_s, n=100, method="inclusive")
    return Figures(
        name,
        requests,
        judge.refused / requests,
        judge.worst_window,
        judge.over / max(1, judge.allowed),
        judge.tenants_over,
        judge.limited_tenants,
        judge.wrongly_refused / requests,
        hundredths[49],
        hundredths[98],
        sum(store.calls for store in world.stores) / requests,
    )
