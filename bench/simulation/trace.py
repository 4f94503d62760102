"""The arrivals that all are given: few tenants ask most, all in bursts, and some at the turn of a minute."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

WINDOW_S = 60.0

#: The plans, by share of the tenants, from the busiest ones on.
_PLANS = ((0.002, 6000), (0.05, 600), (1.0, 60))

# Each tenant's pace changes every so often, by a factor whose logarithm has this deviation.
_MOOD_S = 10.0
_MOOD_DEVIATION = 1.0

# Some tenants send what they have in the seconds around a full minute, as programs that are started by a clock do.
_CLOCKED_SHARE = 0.02
_CLOCKED_WITHIN_S = 2.0


class Request(NamedTuple):
    """One request: when it arrives, whose it is, and where."""

    time_s: float
    tenant: int
    region: int
    node: int


class Load(NamedTuple):
    """How much arrives. ``away`` is the share of requests whose region is drawn among all, the home included."""

    tenants: int = 2000
    requests_per_s: float = 1200.0
    seconds: float = 200.0
    zipf: float = 1.1
    away: float = 0.3


def limit_of(tenant: int, load: Load) -> int:
    """Requests in any 60 s; tenant 0 is the busiest."""
    rank = (tenant + 1) / load.tenants
    return next(limit for share, limit in _PLANS if rank <= share)


def home_of(tenant: int, regions: int) -> int:
    """The region where a tenant's own servers are."""
    return tenant % regions


def arrivals(load: Load, *, regions: int, nodes: int, seed: int) -> Iterator[Request]:
    """Requests, not quite in the order of their times; the same seed gives the same. ``nodes``: those of one region."""
    draw = random.Random(seed)  # noqa: S311 - not a secret: the same each time is what it is for.
    even = [1 / (tenant + 1) ** load.zipf for tenant in range(load.tenants)]
    clocked = [draw.random() < _CLOCKED_SHARE for _ in even]
    weights: Sequence[float] = even
    tenants = range(load.tenants)
    mood_ends_s = time_s = 0.0
    while (time_s := time_s + draw.expovariate(load.requests_per_s)) < load.seconds:
        if time_s >= mood_ends_s:
            weights = _cumulated([weight * draw.lognormvariate(0, _MOOD_DEVIATION) for weight in even])
            mood_ends_s += _MOOD_S
        tenant = draw.choices(tenants, cum_weights=weights)[0]
        home = home_of(tenant, regions)
        region = draw.randrange(regions) if draw.random() < load.away else home
        moment_s = _near_the_minute(time_s, draw) if clocked[tenant] else time_s
        yield Request(moment_s, tenant, region, draw.randrange(nodes))


def _cumulated(weights: Sequence[float]) -> list[float]:
    total, sums = 0.0, []
    for weight in weights:
        total += weight
        sums.append(total)
    return sums


def _near_the_minute(time_s: float, draw: random.Random) -> float:
    """As much as in the whole minute around it, all of it within seconds of a full minute."""
    minute = round(time_s / WINDOW_S) * WINDOW_S
    return max(0.0, minute + draw.uniform(-_CLOCKED_WITHIN_S, _CLOCKED_WITHIN_S))
