"""Headers that answers carry: those that browsers heed, and the limits of design section 5.

The limits come as the IETF draft's pair and as the triple that older clients read.
"""

from __future__ import annotations

from aitbc_server.clock import US_PER_S
from aitbc_server.gate.limiter import WINDOW_S, Verdict
from aitbc_server.gate.records import LimitSet
from aitbc_server.gate.store import Taken

Headers = list[tuple[bytes, bytes]]

# On every answer that does not say otherwise itself: it is not sniffed, not kept by a cache, not put in a frame, runs
# nothing, and its address goes nowhere. (ASVS 3.4.3 to 3.4.6, 14.3.2)
_ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]
# Two years, as the lists of hosts that browsers ship ask for. (ASVS 3.4.1)
_HTTPS_ONLY = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")

#: The names of the ``limit_headers``.
LIMIT_HEADERS = (
    b"ratelimit-policy",
    b"ratelimit",
    b"x-ratelimit-limit",
    b"x-ratelimit-remaining",
    b"x-ratelimit-reset",
)

# What a reset can be, ready to be sent.
_RESETS = tuple((b"x-ratelimit-reset", b"%d" % seconds) for seconds in range(WINDOW_S + 1))


def security_headers(*, https: bool) -> Headers:
    """What every answer carries. ``https``: people reach the server by HTTPS only, and their browsers shall know."""
    return [*_ALWAYS, _HTTPS_ONLY] if https else list(_ALWAYS)


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
