"""Where limits and decisions are counted: one protocol, an implementation in memory and one in Valkey."""

from __future__ import annotations

from asyncio import Future
from typing import Protocol, runtime_checkable

import msgspec

from aitbc_server.gate.limiter import Verdict
from aitbc_server.gate.operations import Operation
from aitbc_server.gate.records import LimitSet, TenantRecord, UsageId


class Taken(msgspec.Struct, frozen=True, gc=False):
    """The store's answer: where each limit stands, in their order; ``retry_after_us`` is 0 when allowed."""

    allowed: bool
    levels: tuple[Verdict, ...]
    retry_after_us: int


class Store(Protocol):
    """Takes all limits of a request, or none, and counts the decision, in one step."""

    async def take(
        self, tenant_id: str, limit_set: LimitSet, cost: int, usage_id: UsageId, operation: str, outcome: str
    ) -> Taken:
        """Decide and count.

        ``outcome`` is what is counted when the limits allow; when they refuse, ``rate_limit_exceeded`` is.
        ``cost`` 0 takes nothing and is always allowed. Raises StoreUnavailableError when there is no answer.
        """
        ...

    async def look(self, tenant_id: str, limit_set: LimitSet) -> tuple[Verdict, ...]:
        """Where each limit stands, in their order, for whoever watches: nothing is taken, and nothing is counted.

        Raises StoreUnavailableError when there is no answer.
        """
        ...


class Prepared(Protocol):
    """One kind of request of one key: its windows, and the place where it is counted, are at hand."""

    @property
    def operation(self) -> Operation:
        """What it asks for."""
        ...

    @property
    def tenant(self) -> TenantRecord:
        """For whom."""
        ...

    @property
    def limits(self) -> LimitSet:
        """What it takes from."""
        ...

    def take(self, now_us: int, cost: int) -> Taken:
        """As ``ImmediateStore.take_now``, with the outcome ``allowed``."""
        ...


@runtime_checkable
class ImmediateStore(Store, Protocol):
    """A store in this process's memory, which answers without anything to wait for, on any thread."""

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
        """See ``Store.take``; at ``now_us``, a reading of this process's clock."""
        ...

    def prepare(
        self, tenant: TenantRecord, limits: LimitSet, usage_id: UsageId, operation: Operation
    ) -> Prepared | None:
        """What is looked up for a request is the same for every one like it; None where it cannot be prepared."""
        ...


class StoreUnavailableError(Exception):
    """The store did not answer in time.

    ``counted`` tells later whether it carried the request out all the same, and counted it; None where that is certain:
    it did not.
    """

    def __init__(self, why: str, counted: Future[bool] | None = None) -> None:
        super().__init__(why)
        self.counted = counted


RATE_LIMITED = "rate_limit_exceeded"
ALLOWED = "allowed"
