"""The ways of limiting that are compared, each as it is commonly built."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Protocol

from bench.simulation.judge import Window
from bench.simulation.trace import WINDOW_S, Request, home_of
from bench.simulation.world import World


class Policy(Protocol):
    """A way of limiting, in one world."""

    def ask(self, request: Request) -> None:
        """A request has arrived at its node."""
        ...


class AtHome:
    """One store a tenant, in the tenant's home region; ``Counter`` says how it counts."""

    def __init__(self, world: World, counter: Callable[[int], Counter]) -> None:
        self._world = world
        self._counters: dict[int, Counter] = {}
        self._new_counter = counter

    def ask(self, request: Request) -> None:
        """See ``Policy``."""
        self._world.ask(request, home_of(request.tenant, self._world.topology.regions), self._decide)

    def _decide(self, request: Request, now_s: float) -> bool:
        counter = self._counters.get(request.tenant)
        if counter is None:
            counter = self._counters[request.tenant] = self._new_counter(self._world.limit_of(request.tenant))
        return counter.take(now_s)


class Counter(Protocol):
    """How one tenant's requests are counted."""

    def take(self, now_s: float) -> bool:
        """Take one, if the limit lets it."""
        ...


class Exact:
    """Every request of the last 60 s."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.window = Window()

    def take(self, now_s: float) -> bool:
        """See ``Counter``."""
        if self.window.count(now_s) >= self.limit:
            return False
        self.window.add(now_s)
        return True


class FixedWindow:
    """A number that starts at 0 every full minute."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._minute = -1
        self._count = 0

    def take(self, now_s: float) -> bool:
        """See ``Counter``."""
        minute = int(now_s // WINDOW_S)
        if minute != self._minute:
            self._minute, self._count = minute, 0
        if self._count >= self._limit:
            return False
        self._count += 1
        return True


class SlidingCounter:
    """This minute's number, and the last one's as far as the last 60 s reach into it, as if it had come evenly."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._minute = -1
        self._count = self._before = 0

    def take(self, now_s: float) -> bool:
        """See ``Counter``."""
        minute, into = divmod(now_s, WINDOW_S)
        if minute != self._minute:
            self._before = self._count if minute == self._minute + 1 else 0
            self._minute, self._count = int(minute), 0
        if self._before * (1 - into / WINDOW_S) + self._count >= self._limit:
            return False
        self._count += 1
        return True


class Synchronised:
    """Each node decides by what it knows, and tells a central store what it allowed every ``period_s``."""

    def __init__(self, world: World, period_s: float) -> None:
        self._world = world
        self._period_s = period_s
        self._central: defaultdict[int, deque[tuple[float, tuple[int, int]]]] = defaultdict(deque)
        # For each node: what others had allowed when it last asked, what it allowed itself, and what it has not told.
        self._others: defaultdict[tuple[int, int], dict[int, deque[float]]] = defaultdict(dict)
        self._own: defaultdict[tuple[tuple[int, int], int], Window] = defaultdict(Window)
        self._untold: defaultdict[tuple[int, int], dict[int, list[float]]] = defaultdict(dict)

    def ask(self, request: Request) -> None:
        """See ``Policy``."""
        world, node, tenant = self._world, (request.region, request.node), request.tenant
        others = self._others[node].get(tenant, _NOBODY)
        while others and others[0] <= world.now_s - WINDOW_S:
            others.popleft()
        own = self._own[node, tenant]
        allowed = own.count(world.now_s) + len(others) < world.limit_of(tenant)
        untold = self._untold[node]
        if not untold:
            world.simulation.after(self._period_s, lambda: self._tell(node))
        times_s = untold.setdefault(tenant, [])
        if allowed:
            own.add(world.now_s)
            times_s.append(world.now_s)
        world.decide_here(request, allowed=allowed)

    def _tell(self, node: tuple[int, int]) -> None:
        told = self._untold.pop(node)
        travel_s = self._world.one_way_s(node[0], 0)

        def at_the_store() -> None:
            answer = {tenant: self._exchange(node, tenant, times_s) for tenant, times_s in told.items()}
            self._world.simulation.after(travel_s, lambda: self._others[node].update(answer))

        self._world.simulation.after(travel_s, lambda: self._world.stores[0].call(len(told), at_the_store))

    def _exchange(self, node: tuple[int, int], tenant: int, times_s: list[float]) -> deque[float]:
        known = self._central[tenant]
        known.extend((time_s, node) for time_s in times_s)
        oldest_s = self._world.now_s - WINDOW_S
        while known and known[0][0] <= oldest_s:
            known.popleft()
        return deque(sorted(time_s for time_s, whose in known if whose != node))


_NOBODY: deque[float] = deque()
