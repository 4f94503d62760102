"""Where windows live and decisions are counted: one protocol, an implementation in memory and one in Valkey."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from aitbc_server.gate.records import LimitSet, UsageId


class Level(NamedTuple):
    """Where one limit stands after a decision."""

    remaining: int
    reset_us: int


class Taken(NamedTuple):
    """The store's answer: ``levels`` in the order of the limits; ``retry_after_us`` is 0 when allowed."""

    allowed: bool
    levels: tuple[Level, ...]
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


class StoreUnavailableError(Exception):
    """The store did not answer in time."""


RATE_LIMITED = "rate_limit_exceeded"
ALLOWED = "allowed"
