"""The exact sliding window, as pure functions over a log of times.

At time t a request of cost c is allowed if and only if (the costs of what was allowed in (t - 60 s, t]) + c <= N.
The log holds one time per unit of cost, so the sum is a length and every question is answered exactly: no
buckets, no weights, no rounding.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import NamedTuple

from aitbc_server.clock import US_PER_S

WINDOW_S = 60
WINDOW_US = WINDOW_S * US_PER_S

# Below this many dead entries, moving the rest to the front costs more than the memory is worth.
_COMPACT_AT = 16


class Verdict(NamedTuple):
    """What the window says of one request; times in microseconds.

    ``remaining`` is what is left before the request is recorded. ``retry_after_us`` is 0 when it is allowed;
    otherwise it is let in after that time, if nobody else took the place.
    """

    allowed: bool
    remaining: int
    retry_after_us: int


class Log:
    """The times, in order, of every unit of cost that was allowed; those before ``head`` have left the window."""

    __slots__ = ("head", "times")

    def __init__(self, times: array[int] | None = None) -> None:
        self.times = array("q") if times is None else times
        self.head = 0

    def __len__(self) -> int:
        return len(self.times) - self.head

    def live(self) -> array[int]:
        """The times that have not left the window, oldest first."""
        return self.times[self.head :]


def evict(log: Log, now_us: int) -> None:
    """Forget what has left the window (t - 60 s, t]."""
    times, head = log.times, log.head
    edge = now_us - WINDOW_US
    if head == len(times) or times[head] > edge:
        return
    head = bisect_right(times, edge, head)
    if head >= _COMPACT_AT and head * 2 >= len(times):
        del times[:head]
        head = 0
    log.head = head


def check(log: Log, now_us: int, limit: int, cost: int) -> Verdict:
    """May a request of ``cost`` pass at ``now_us``? Nothing is recorded; ``cost`` <= ``limit`` is the caller's part."""
    evict(log, now_us)
    used = len(log)
    excess = used + cost - limit
    if excess <= 0:
        return Verdict(True, limit - used, 0)
    # Cost 0 asks without taking: with a limit that was lowered below what is used, nothing is left, but the
    # question itself is never refused.
    if cost == 0:
        return Verdict(True, 0, 0)
    leaves_us = log.times[log.head + excess - 1] + WINDOW_US
    return Verdict(False, max(limit - used, 0), leaves_us - now_us)


def record(log: Log, now_us: int, cost: int) -> None:
    """Write an allowed request down. ``now_us`` must not lie before the newest entry."""
    if cost == 1:
        log.times.append(now_us)
    else:
        log.times.extend((now_us,) * cost)


def reset_us(log: Log, now_us: int) -> int:
    """When the oldest counted request leaves the window; 0 for an empty window."""
    return log.times[log.head] + WINDOW_US - now_us if len(log) else 0
