"""The clock of a discrete-event simulation, and a store that does one thing at a time. All times are in seconds."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

Action = Callable[[], None]


class Simulation:
    """What happens when; actions of the same moment run in the order in which they were planned."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._planned: list[tuple[float, int, Action]] = []
        self._order = itertools.count()

    def at(self, time_s: float, action: Action) -> None:
        """Run ``action`` at that time, which has not passed yet."""
        heapq.heappush(self._planned, (time_s, next(self._order), action))

    def after(self, delay_s: float, action: Action) -> None:
        """Run ``action`` that much later."""
        self.at(self.now_s + delay_s, action)

    def run(self, until_s: float) -> None:
        """Let everything happen that is planned for a time up to ``until_s``."""
        while self._planned and self._planned[0][0] <= until_s:
            self.now_s, _, action = heapq.heappop(self._planned)
            action()


class Store:
    """A store that runs one call after the other."""

    def __init__(self, simulation: Simulation, *, call_s: float, request_s: float) -> None:
        """A call takes ``call_s``, and ``request_s`` more for each request in it."""
        self._simulation = simulation
        self._call_s = call_s
        self._request_s = request_s
        self._free_at_s = 0.0
        self.calls = 0

    def call(self, requests: int, action: Action) -> None:
        """Run ``action`` when the calls before this one, and this one, are done."""
        self.calls += 1
        begins_s = max(self._simulation.now_s, self._free_at_s)
        self._free_at_s = begins_s + self._call_s + self._request_s * requests
        self._simulation.at(self._free_at_s, action)
