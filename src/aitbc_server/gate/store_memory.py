"""The store of a single process: windows in its own memory."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable

import msgspec

from aitbc_server.clock import Clock
from aitbc_server.gate import limiter
from aitbc_server.gate.counter import Tally, UsageCounter
from aitbc_server.gate.limiter import WINDOW_US, Log, Verdict
from aitbc_server.gate.operations import Operation
from aitbc_server.gate.records import Limit, LimitSet, TenantRecord, UsageId
from aitbc_server.gate.store import ALLOWED, RATE_LIMITED, Prepared, Taken

logger = logging.getLogger(__name__)

# How many tenants one call may look at to find windows that ran empty: the cost is spread over the calls.
_SWEEP_STEP = 2


class SavedWindow(msgspec.Struct):
    """One tenant's window as it is kept over a restart: times in microseconds, oldest first."""

    tenant_id: str
    window: str
    last_us: int
    times: list[int]


class _Tenant(Log, gc=False):
    """A tenant: the log of its plan's limit, those of its keys' own, and its clock, which never runs backwards.

    That it is a log itself saves every request the way to another object. ``held_us`` is for how long, by what the
    clock has shown since, the tenant's time has been held still after a step back; ``reading_us`` is the reading that
    this was last told by. ``is_held``: the store has it; one that was idle and is forgotten must not be used again.
    """

    is_held: bool = True
    last_us: int = 0
    reading_us: int = 0
    held_us: int = 0
    key_logs: dict[str, Log] | None = None

    def log(self, window: str) -> Log:
        if not window:
            return self
        if self.key_logs is None:
            self.key_logs = {}
        return self.key_logs.setdefault(window, Log())

    def find_log(self, window: str) -> Log | None:
        return self if not window else (self.key_logs or {}).get(window)

    def all_logs(self) -> Iterable[tuple[str, Log]]:
        yield "", self
        if self.key_logs is not None:
            yield from self.key_logs.items()

    def advance(self, now_us: int) -> int:
        """The tenant's time for a reading of the clock.

        A step back holds the time still for at most 60 s, however often the clock steps back meanwhile; then it
        starts anew, with empty windows.
        """
        if now_us < self.last_us:
            return self._held(now_us)
        self.last_us = now_us
        if self.reading_us:
            self.held_us = self.reading_us = 0
        return now_us

    def _held(self, now_us: int) -> int:
        if self.reading_us and now_us > self.reading_us:
            self.held_us += now_us - self.reading_us
        self.reading_us = now_us
        if self.held_us >= WINDOW_US:
            logger.warning("the clock stepped back by more than 60 s: limit windows start anew")
            self.last_us = now_us
            self.held_us = self.reading_us = 0
            self.times, self.head, self.key_logs = array("q"), 0, None
        return self.last_us


class MemoryStore:
    """Implements ``ImmediateStore``. Exact within this process; ``save`` and ``restore`` carry it over a restart.

    Several threads may ask it: to look at the limits and to take from them is one step, under a lock.
    """

    def __init__(self, clock: Clock, counter: UsageCounter) -> None:
        self._clock = clock
        self.counter = counter
        # One lock for taking and counting: nobody sees a request that is taken and not counted.
        self.lock = counter.lock
        self._tenants: dict[str, _Tenant] = {}
        self._sweep: list[str] = []

    async def take(
        self, tenant_id: str, limit_set: LimitSet, cost: int, usage_id: UsageId, operation: str, outcome: str
    ) -> Taken:
        """See ``Store.take``."""
        return self.take_now(self._clock(), tenant_id, limit_set, cost, usage_id, operation, outcome)

    def take_now(
        self,
        now_us: int,
        tenant_id: str,
        limit_set: LimitSet,
        cost: int,
        usage_id: UsageId,
        operation: str,
        outcome: str,
    ) -> Taken:
        """See ``ImmediateStore.take_now``."""
        limits = limit_set.limits
        with self.lock:
            if len(limits) == 1 and limits[0].tenant_id is None:
                # The common case, a plan's limit alone, without the lists of the general one.
                taken = _take_plan(self.tenant(tenant_id, now_us), now_us, limits[0].limit, cost)
            else:
                taken = self._take_all(now_us, tenant_id, limits, cost)
            self.counter.add_held(now_us, usage_id, operation, outcome if taken.allowed else RATE_LIMITED)
        return taken

    def prepare(
        self, tenant: TenantRecord, limits: LimitSet, usage_id: UsageId, operation: Operation
    ) -> Prepared | None:
        """See ``ImmediateStore.prepare``. Only a plan's limit alone can be."""
        if len(limits.limits) != 1 or limits.limits[0].window or limits.limits[0].tenant_id is not None:
            return None
        with self.lock:
            log = self.tenant(tenant.id, self._clock())
        return _Prepared(
            usage_id=usage_id,
            operation_id=operation.id,
            outcome=ALLOWED,
            operation=operation,
            tenant=tenant,
            limits=limits,
            store=self,
            log=log,
        )

    async def look(self, tenant_id: str, limit_set: LimitSet) -> tuple[Verdict, ...]:
        """See ``Store.look``. A tenant that is only looked at leaves nothing in memory."""
        with self.lock:
            return tuple(self._level(limit, limit.tenant_id or tenant_id) for limit in limit_set.limits)

    def save(self) -> list[SavedWindow]:
        """Every window that still holds something."""
        now_us = self._clock()
        windows = []
        with self.lock:
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

    def take_uncounted(self, clock_us: int, tenant_id: str, limits: tuple[Limit, ...], cost: int) -> Taken:
        """Take all limits or none, at ``clock_us``, a reading of the clock, and leave the counting to the caller."""
        with self.lock:
            return self._take_all(clock_us, tenant_id, limits, cost)

    def _take_all(self, clock_us: int, tenant_id: str, limits: tuple[Limit, ...], cost: int) -> Taken:
        windows = []
        for limit in limits:
            tenant = self.tenant(limit.tenant_id or tenant_id, clock_us)
            now_us = tenant.advance(clock_us)
            windows.append((tenant.log(limit.window), now_us, limit.limit))
        verdicts = tuple(limiter.check(log, now_us, limit, cost) for log, now_us, limit in windows)
        if all(verdict.allowed for verdict in verdicts):
            for log, now_us, _ in windows:
                limiter.record(log, now_us, cost)
            return Taken(True, verdicts, 0)
        # Nothing was taken from any of them, so each is shown as it stands.
        levels = tuple(limiter.check(log, now_us, limit, 0) for log, now_us, limit in windows)
        return Taken(False, levels, max(verdict.retry_after_us for verdict in verdicts))

    def _level(self, limit: Limit, owner_id: str) -> Verdict:
        tenant = self._tenants.get(owner_id)
        log = None if tenant is None else tenant.find_log(limit.window)
        if tenant is None or log is None:
            return Verdict(True, limit.limit, 0, 0)
        # Not the tenant's own ``advance``: how often somebody looks must not show in how its time goes.
        return limiter.look(log, max(self._clock(), tenant.last_us), limit.limit)

    def tenant(self, tenant_id: str, now_us: int) -> _Tenant:
        """The tenant, new where there is none. To be called under the lock."""
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            self._sweep_some(now_us)
            tenant = self._tenants[tenant_id] = _Tenant()
        return tenant

    def _sweep_some(self, now_us: int) -> None:
        if not self._sweep:
            self._sweep = list(self._tenants)
        for _ in range(min(_SWEEP_STEP, len(self._sweep))):
            tenant_id = self._sweep.pop()
            tenant = self._tenants.get(tenant_id)
            # Two windows of quiet: a clock that was stepped back is still held within the first.
            if tenant is not None and tenant.last_us + 2 * WINDOW_US < now_us:
                tenant.is_held = False
                del self._tenants[tenant_id]


class _Prepared(Tally, gc=False, eq=False, kw_only=True):
    """Implements ``Prepared`` for a tenant's plan alone. That it is a tally itself saves the way to another object."""

    operation: Operation
    tenant: TenantRecord
    limits: LimitSet
    store: MemoryStore
    log: _Tenant

    def take(self, now_us: int, cost: int) -> Taken:
        """See ``Prepared.take``."""
        store = self.store
        with store.lock:
            log = self.log
            if not log.is_held:
                log = self.log = store.tenant(self.tenant.id, now_us)
            taken = _take_plan(log, now_us, self.limits.smallest, cost)
            if taken.allowed:
                store.counter.raise_held(self, now_us)
            else:
                store.counter.add_held(now_us, self.usage_id, self.operation_id, RATE_LIMITED)
        return taken


def _take_plan(tenant: _Tenant, clock_us: int, limit: int, cost: int) -> Taken:
    now_us = tenant.advance(clock_us)
    verdict = limiter.check(tenant, now_us, limit, cost)
    if verdict.allowed:
        limiter.record(tenant, now_us, cost)
    return Taken(verdict.allowed, (verdict,), verdict.retry_after_us)
