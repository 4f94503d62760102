"""The limit headers of design section 5: the IETF draft's pair and the triple that older clients read."""

from __future__ import annotations

from aitbc_server.clock import US_PER_S
from aitbc_server.gate.records import LimitSet
from aitbc_server.gate.store import Level, Taken

Headers = list[tuple[bytes, bytes]]


def reset_s(level: Level) -> int:
    """Whole seconds, rounded up, until the oldest counted request leaves the window."""
    return -(-level.reset_us // US_PER_S)


def tightest(limit_set: LimitSet, taken: Taken) -> int:
    """The index of the limit of which the least is left."""
    if len(taken.levels) == 1:
        return 0
    return min(range(len(taken.levels)), key=lambda index: taken.levels[index].remaining)


def limit_headers(limit_set: LimitSet, taken: Taken) -> Headers:
    """``RateLimit-Policy``, ``RateLimit`` and ``X-RateLimit-*``, as ASGI headers."""
    index = tightest(limit_set, taken)
    limit, level = limit_set.limits[index], taken.levels[index]
    if len(taken.levels) == 1:
        state = b'"%s";r=%d;t=%d' % (limit.name.encode(), level.remaining, reset_s(level))
    else:
        state = b", ".join(
            b'"%s";r=%d;t=%d' % (each.name.encode(), its.remaining, reset_s(its))
            for each, its in zip(limit_set.limits, taken.levels, strict=True)
        )
    return [
        (b"ratelimit-policy", limit_set.policy),
        (b"ratelimit", state),
        (b"x-ratelimit-limit", b"%d" % limit.limit),
        (b"x-ratelimit-remaining", b"%d" % level.remaining),
        (b"x-ratelimit-reset", b"%d" % reset_s(level)),
    ]
