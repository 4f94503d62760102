"""The store of a single process: windows in its own memory."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable

import msgspec

from aitbc_server.clock import Clock
from aitbc_server.gate import limiter
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.limiter import WINDOW_US, Log
from aitbc_server.gate.records import LimitSet, UsageId
from aitbc_server.gate.store import RATE_LIMITED, Level, Taken

logger = logging.getLogger(__name__)

# How many tenants one call may look at to find windows that ran empty: the cost is spread over the calls.
_SWEEP_STEP = 2


class SavedWindow(msgspec.Struct):
    """One tenant's window as it is kept over a restart: times in microseconds, oldest first."""

    tenant_id: str
    window: str
    last_us: int
    times: list[int]


class _Tenant:
    """The windows of one tenant and its clock, which never runs backwards."""

    __slots__ = ("held_since_us", "last_us", "logs", "plan_log")

    def __init__(self) -> None:
        self.last_us = 0
        self.held_since_us = 0
        self.plan_log = Log()
        self.logs: dict[str, Log] | None = None

    def log(self, window: str) -> Log:
        if not window:
            return self.plan_log
        if self.logs is None:
            self.logs = {}
        return self.logs.setdefault(window, Log())

    def all_logs(self) -> Iterable[tuple[str, Log]]:
        yield "", self.plan_log
        if self.logs is not None:
            yield from self.logs.items()

    def advance(self, now_us: int) -> int:
        """The tenant's time for a reading of the clock.

        A backward step holds the time still for at most 60 s; then it starts anew, with empty windows.
        """
        if now_us >= self.last_us:
            self.last_us, self.held_since_us = now_us, 0
        else:
            self._hold(now_us)
        return self.last_us

    def _hold(self, now_us: int) -> None:
        if not self.held_since_us or now_us < self.held_since_us:
            self.held_since_us = now_us
        elif now_us - self.held_since_us >= WINDOW_US:
            logger.warning("the clock stepped back by more than 60 s: limit windows start anew")
            self.last_us, self.held_since_us = now_us, 0
            self.plan_log, self.logs = Log(), None


class MemoryStore:
    """Implements ``Store``. Exact within this process; ``save`` and ``restore`` carry windows over a restart."""

    def __init__(self, clock: Clock, counter: UsageCounter) -> None:
        self._clock = clock
        self._counter = counter
        self._tenants: dict[str, _Tenant] = {}
        self._sweep: list[str] = []

    async def take(
        self, tenant_id: str, limit_set: LimitSet, cost: int, usage_id: UsageId, operation: str, outcome: str
    ) -> Taken:
        """See ``Store.take``. Never suspends, so that check and record are one step."""
        clock_us = self._clock()
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            self._sweep_some(clock_us)
            tenant = self._tenants[tenant_id] = _Tenant()
        now_us = tenant.advance(clock_us)
        taken = _take(tenant, limit_set, cost, now_us)
        self._counter.add(clock_us, usage_id, operation, outcome if taken.allowed else RATE_LIMITED)
        return taken

    def save(self) -> list[SavedWindow]:
        """Every window that still holds something."""
        now_us = self._clock()
        windows = []
        for tenant_id, tenant in self._tenants.items():
            for window, log in tenant.all_logs():
                limiter.evict(log, max(now_us, tenant.last_us))
                if len(log):
                    windows.append(SavedWindow(tenant_id, window, tenant.last_us, list(log.live())))
        return windows

    def restore(self, windows: Iterable[SavedWindow]) -> None:
        """Take windows of an earlier run back, before the first request."""
        for saved in windows:
            tenant = self._tenants.setdefault(saved.tenant_id, _Tenant())
            tenant.last_us = max(tenant.last_us, saved.last_us)
            tenant.log(saved.window).times = array("q", saved.times)

    def _sweep_some(self, now_us: int) -> None:
        if not self._sweep:
            self._sweep = list(self._tenants)
        for _ in range(min(_SWEEP_STEP, len(self._sweep))):
            tenant_id = self._sweep.pop()
            tenant = self._tenants.get(tenant_id)
            # Two windows of quiet: a clock that was stepped back is still held within the first.
            if tenant is not None and tenant.last_us + 2 * WINDOW_US < now_us:
                del self._tenants[tenant_id]


def _take(tenant: _Tenant, limit_set: LimitSet, cost: int, now_us: int) -> Taken:
    limits = limit_set.limits
    if len(limits) == 1:
        # The common case, a plan's limit alone, without the lists of the general one.
        log, limit = tenant.plan_log, limits[0].limit
        verdict = limiter.check(log, now_us, limit, cost)
        if verdict.allowed and cost:
            limiter.record(log, now_us, cost)
            level = Level(verdict.remaining - cost, limiter.reset_us(log, now_us))
        else:
            level = Level(verdict.remaining, limiter.reset_us(log, now_us))
        return Taken(verdict.allowed, (level,), verdict.retry_after_us)
    logs = [tenant.log(limit.window) for limit in limits]
    verdicts = [limiter.check(log, now_us, limit.limit, cost) for log, limit in zip(logs, limits, strict=True)]
    allowed = all(verdict.allowed for verdict in verdicts)
    taken = cost if allowed else 0
    if taken:
        for log in logs:
            limiter.record(log, now_us, taken)
    levels = tuple(
        Level(max(verdict.remaining - taken, 0), limiter.reset_us(log, now_us))
        for log, verdict in zip(logs, verdicts, strict=True)
    )
    return Taken(allowed, levels, max(verdict.retry_after_us for verdict in verdicts))
