"""A limit that regions share out among them: each decides by its own store, at most its share in any 60 s."""

from __future__ import annotations

from collections import defaultdict
from functools import partial

from bench.simulation.policies import Exact
from bench.simulation.trace import Request, home_of
from bench.simulation.world import World

# How much of what was asked before counts for the next sharing, once a second.
_MEMORY = 0.8


class Shares:
    """Equal shares, for good."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.regions = range(world.topology.regions)
        self._shares: dict[int, list[Exact]] = {}

    def ask(self, request: Request) -> None:
        """See ``Policy``."""
        self.world.ask(request, request.region, self.decide)

    def decide(self, request: Request, now_s: float) -> bool:
        """By the share of the region where the request arrived."""
        return self.shares(request.tenant)[request.region].take(now_s)

    def shares(self, tenant: int) -> list[Exact]:
        """The tenant's share in each region."""
        found = self._shares.get(tenant)
        if found is None:
            limit, count = self.world.limit_of(tenant), len(self.regions)
            found = [Exact(limit // count + (region < limit % count)) for region in self.regions]
            self._shares[tenant] = found
        return found


class MovingShares(Shares):
    """Shares that follow demand: what a region gives back travels, and is nobody's on its way.

    A region gives back no more than what is free in its own window. So the windows of all regions together never hold
    more than the limit: as exact as one store, but for refusals while free room is elsewhere.
    """

    def __init__(self, world: World, *, period_s: float = 1.0) -> None:
        super().__init__(world)
        self._period_s = period_s
        self._asked: defaultdict[int, list[float]] = defaultdict(lambda: [0.0] * len(self.regions))
        self._demand: defaultdict[int, list[float]] = defaultdict(lambda: [0.0] * len(self.regions))
        world.simulation.after(period_s, self._move)

    def decide(self, request: Request, now_s: float) -> bool:
        """See ``Shares``."""
        self._asked[request.tenant][request.region] += 1
        return super().decide(request, now_s)

    def _move(self) -> None:
        asked, self._asked = self._asked, defaultdict(lambda: [0.0] * len(self.regions))
        for tenant, counts in asked.items():
            demand = [_MEMORY * old + new for old, new in zip(self._demand[tenant], counts, strict=True)]
            self._demand[tenant] = demand
            total = sum(demand) + len(demand)
            wanted = [int(self.world.limit_of(tenant) * (each + 1) / total) for each in demand]
            self._even_out(tenant, wanted)
        self.world.simulation.after(self._period_s, self._move)

    def _even_out(self, tenant: int, wanted: list[int]) -> None:
        """Ask the regions that have more than they want to give back."""
        home = home_of(tenant, len(self.regions))
        for region in self.regions:
            if self.shares(tenant)[region].limit > wanted[region]:
                give_back = partial(self._give_back, tenant, region, home, wanted)
                self.world.simulation.after(self.world.one_way_s(home, region), give_back)

    def _give_back(self, tenant: int, region: int, home: int, wanted: list[int]) -> None:
        share = self.shares(tenant)[region]
        free = share.limit - max(share.window.count(self.world.now_s), wanted[region])
        if free <= 0:
            return
        share.limit -= free
        lacks = [want - each.limit for want, each in zip(wanted, self.shares(tenant), strict=True)]
        to = max(self.regions, key=lacks.__getitem__)
        travel_s = self.world.one_way_s(region, home) + self.world.one_way_s(home, to)
        self.world.simulation.after(travel_s, lambda: self._raise(tenant, to, free))

    def _raise(self, tenant: int, region: int, by: int) -> None:
        self.shares(tenant)[region].limit += by
