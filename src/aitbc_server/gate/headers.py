"""The limit headers of design section 5: the IETF draft's pair and the triple that older clients read."""

from __future__ import annotations

from aitbc_server.clock import US_PER_S
from aitbc_server.gate.limiter import WINDOW_S, Verdict
from aitbc_server.gate.records import LimitSet
from aitbc_server.gate.store import Taken

Headers = list[tuple[bytes, bytes]]

# What a reset can be, ready to be sent.
_RESETS = tuple((b"x-ratelimit-reset", b"%d" % seconds) for seconds in range(WINDOW_S + 1))


def reset_s(level: Verdict) -> int:
    """Whole seconds, rounded up, until the oldest counted request leaves the window."""
    return -(-level.reset_us // US_PER_S)


def tightest(taken: Taken) -> int:
    """The index of the limit of which the least is left."""
    return min(range(len(taken.levels)), key=lambda index: taken.levels[index].remaining)


def numbers(taken: Taken) -> tuple[int, ...]:
    """Remaining and reset of each limit, in order, for the formats of a ``LimitSet``."""
    levels = taken.levels
    if len(levels) == 1:
        # The common case, a plan's limit alone, without the loops of the general one.
        level = levels[0]
        return level.remaining, -(-level.reset_us // US_PER_S)
    return tuple(number for level in levels for number in (level.remaining, reset_s(level)))


def limit_headers(limit_set: LimitSet, taken: Taken, state: tuple[int, ...]) -> Headers:
    """``RateLimit-Policy``, ``RateLimit`` and ``X-RateLimit-*``, as ASGI headers; ``state`` is the ``numbers``."""
    index = 0 if len(state) == 2 else tightest(taken)
    remaining, reset = state[2 * index], state[2 * index + 1]
    return [
        limit_set.policy,
        (b"ratelimit", limit_set.state % state),
        limit_set.numbers[index],
        (b"x-ratelimit-remaining", b"%d" % remaining),
        _RESETS[reset],
    ]
