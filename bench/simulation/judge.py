"""What a way of limiting did, against the one rule: at most N in any 60 s, and no refusal below N."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable

from bench.simulation.trace import WINDOW_S, Request


class Window:
    """The requests of one tenant that were allowed in the last 60 s: (t - 60 s, t]."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque()

    def count(self, now_s: float) -> int:
        """How many there are. Times never go back."""
        times_s = self._times_s
        while times_s and times_s[0] <= now_s - WINDOW_S:
            times_s.popleft()
        return len(times_s)

    def add(self, time_s: float) -> None:
        """One more was allowed."""
        self._times_s.append(time_s)


class Judge:
    """Hears of every decision at the moment at which it was made, in order."""

    def __init__(self, limit_of: Callable[[int], int]) -> None:
        self._limit_of = limit_of
        self._windows: defaultdict[int, Window] = defaultdict(Window)
        self._worst: defaultdict[int, int] = defaultdict(int)
        self.allowed = self.over = self.refused = self.wrongly_refused = 0
        self.added_s: list[float] = []

    def decided(self, request: Request, now_s: float, *, allowed: bool) -> None:
        """A decision was made."""
        window, limit = self._windows[request.tenant], self._limit_of(request.tenant)
        count = window.count(now_s)
        if allowed:
            window.add(now_s)
            self.allowed += 1
            self.over += count >= limit
            self._worst[request.tenant] = max(self._worst[request.tenant], count + 1)
        else:
            self.refused += 1
            self.wrongly_refused += count < limit

    def answered(self, added_s: float) -> None:
        """The node knew the decision that much later than it asked for it."""
        self.added_s.append(added_s)

    @property
    def worst_window(self) -> float:
        """The fullest window of any tenant, as a multiple of its limit."""
        return max((count / self._limit_of(tenant) for tenant, count in self._worst.items()), default=0.0)

    @property
    def tenants_over(self) -> int:
        """Tenants who had more than their limit in a window."""
        return sum(count > self._limit_of(tenant) for tenant, count in self._worst.items())

    @property
    def limited_tenants(self) -> int:
        """Tenants who came as far as their limit."""
        return sum(count >= self._limit_of(tenant) for tenant, count in self._worst.items())
