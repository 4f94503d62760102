"""Where limits and decisions are counted: one protocol, an implementation in memory and one in Valkey."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec

from aitbc_server.gate.limiter import Verdict
from aitbc_server.gate.records import LimitSet, UsageId


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


@runtime_checkable
class ImmediateStore(Store, Protocol):
    """A store in this process's memory, which answers without anything to wait for."""

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


class StoreUnavailableError(Exception):
    """The store did not answer in time."""


RATE_LIMITED = "rate_limit_exceeded"
ALLOWED = "allowed"
