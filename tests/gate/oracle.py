"""The simplest limiter that can be right: a list of (time, cost), summed afresh each time.

Every store is held against it (goal A1). It knows nothing of how stores work.
"""

from __future__ import annotations

from typing import NamedTuple

WINDOW_US = 60_000_000


class Judged(NamedTuple):
    """What the store has to say: (remaining, reset in µs) of each limit, in order."""

    allowed: bool
    levels: tuple[tuple[int, int], ...]
    retry_after_us: int


class OracleTenant:
    """A tenant's time and what was allowed to it, by window."""

    def __init__(self) -> None:
        self.time_us = 0
        self.is_held = False
        self.taken: dict[str, list[tuple[int, int]]] = {}
        self._held_us = 0
        self._reading_us = 0

    def tell(self, reading_us: int) -> None:
        """A reading of the clock. A step back holds the time for 60 s of what the clock shows, then all starts anew."""
        if reading_us >= self.time_us:
            self.time_us, self.is_held, self._held_us = reading_us, False, 0
            return
        if self.is_held:
            self._held_us += max(reading_us - self._reading_us, 0)
        self.is_held, self._reading_us = True, reading_us
        if self._held_us >= WINDOW_US:
            self.time_us, self.is_held, self._held_us, self.taken = reading_us, False, 0, {}

    def used(self, window: str, at_us: int) -> int:
        """The costs of what was allowed in (at - 60 s, at]."""
        return sum(cost for time_us, cost in self.taken.get(window, ()) if at_us - WINDOW_US < time_us <= at_us)

    def forget_old(self) -> None:
        """Keep the lists short, so that a million checks end before the next release."""
        for window, entries in self.taken.items():
            self.taken[window] = [entry for entry in entries if entry[0] > self.time_us - WINDOW_US]


class Oracle:
    """Decides what every store has to decide."""

    def __init__(self) -> None:
        self.tenants: dict[str, OracleTenant] = {}

    def take(self, reading_us: int, limits: list[tuple[str, str, int]], cost: int) -> Judged:
        """``limits``: (tenant, window, N) of each. All are taken, or none."""
        windows = []
        for tenant_id, window, limit in limits:
            tenant = self.tenants.setdefault(tenant_id, OracleTenant())
            tenant.tell(reading_us)
            tenant.forget_old()
            windows.append((tenant, window, limit))
        fits = [cost == 0 or tenant.used(window, tenant.time_us) + cost <= n for tenant, window, n in windows]
        waits = [0 if fit else _wait_us(*each, cost) for fit, each in zip(fits, windows, strict=True)]
        if all(fits) and cost:
            for tenant, window, _ in windows:
                tenant.taken.setdefault(window, []).append((tenant.time_us, cost))
        return Judged(all(fits), tuple(_level(*each) for each in windows), max(waits))


def _level(tenant: OracleTenant, window: str, limit: int) -> tuple[int, int]:
    live = [time_us for time_us, _ in tenant.taken.get(window, ()) if time_us > tenant.time_us - WINDOW_US]
    reset_us = min(live) + WINDOW_US - tenant.time_us if live else 0
    return max(limit - tenant.used(window, tenant.time_us), 0), reset_us


def _wait_us(tenant: OracleTenant, window: str, limit: int, cost: int) -> int:
    """The shortest wait after which it fits, if nobody else comes: one of the moments when something leaves."""
    now_us = tenant.time_us
    leaves = sorted({time_us + WINDOW_US - now_us for time_us, _ in tenant.taken[window]})
    return next(
        wait
        for wait in leaves
        if sum(each for time_us, each in tenant.taken[window] if time_us > now_us + wait - WINDOW_US) + cost <= limit
    )
