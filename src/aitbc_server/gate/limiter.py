"""The exact sliding window, as pure functions over a log of times.

At time t a request of cost c is allowed if and only if (the costs of what was allowed in (t - 60 s, t]) + c <= N.
The log holds one time per unit of cost, so the sum is a length and every question is answered exactly: no
buckets, no weights, no rounding.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right

import msgspec

from aitbc_server.clock import US_PER_S

WINDOW_S = 60
WINDOW_US = WINDOW_S * US_PER_S

# Below this many dead entries, moving the rest to the front costs more than the memory is worth.
_COMPACT_AT = 16


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What the window says of one request; times in microseconds.

    ``remaining`` is what is left after it, ``reset_us`` when the oldest counted request leaves the window (0 for an
    empty one). ``retry_after_us`` is 0 when it is allowed; otherwise it is let in after that time, if nobody else
    took the place.
    """

    allowed: bool
    remaining: int
    reset_us: int
    retry_after_us: int


def _no_times() -> array[int]:
    return array("q")


class Log(msgspec.Struct, gc=False):
    """The times, in order, of every unit of cost that was allowed; those before ``head`` have left the window."""

    times: array[int] = msgspec.field(default_factory=_no_times)
    head: int = 0

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
    """May a request of ``cost`` pass at ``now_us``? Nothing is recorded, and ``remaining`` is as if it had been.

    ``cost`` <= ``limit`` is the caller's part.
    """
    times, head = log.times, log.head
    used = len(times) - head
    oldest_us = times[head] if used else now_us
    # Seen from here, so that the usual request, for which nothing has left, costs no call.
    if oldest_us <= now_us - WINDOW_US:
        evict(log, now_us)
        times, head = log.times, log.head
        used = len(times) - head
        oldest_us = times[head] if used else now_us
    left = limit - used - cost
    reset_us = oldest_us + WINDOW_US - now_us if used or cost else 0
    if left >= 0:
        return Verdict(True, left, reset_us, 0)
    # Cost 0 asks without taking: with a limit that was lowered below what is used, nothing is left, but the
    # question itself is never refused.
    if cost == 0:
        return Verdict(True, 0, reset_us, 0)
    return Verdict(False, max(limit - used, 0), reset_us, times[head - left - 1] + WINDOW_US - now_us)


def look(log: Log, now_us: int, limit: int) -> Verdict:
    """Where the window stands at ``now_us``, for whoever watches. The log is left as it is.

    Forgetting what has left the window by ``now_us`` would be wrong here: a watcher's clock may be ahead of the time
    that requests are judged by, when the clock is stepped back.
    """
    times = log.times
    head = bisect_right(times, now_us - WINDOW_US, log.head)
    used = len(times) - head
    return Verdict(True, max(limit - used, 0), times[head] + WINDOW_US - now_us if used else 0, 0)


def record(log: Log, now_us: int, cost: int) -> None:
    """Write an allowed request down. ``now_us`` must not lie before the newest entry."""
    if cost == 1:
        log.times.append(now_us)
    else:
        log.times.extend((now_us,) * cost)
