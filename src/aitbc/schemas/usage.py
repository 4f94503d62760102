"""Usage on the wire: how many decisions, of which kind, when."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, UnsetType

from aitbc.schemas.common import Response, Time, known


class Granularity(StrEnum):
    """The width of a point."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


class GroupBy(StrEnum):
    """By what the series are told apart."""

    KEY = "key"
    OUTCOME = "outcome"
    OPERATION = "operation"


class UsageSeries(Response):
    """One series. Points are ``[start of the interval, count]``, oldest first, without empty intervals."""

    points: list[tuple[Time, int]]
    key_id: str | UnsetType = UNSET
    outcome: str | UnsetType = UNSET
    operation: str | UnsetType = UNSET


class UsageTotals(Response):
    """The sums over the whole range. ``outcomes`` counts ``allowed`` and each refusal's error code."""

    total: int
    allowed: int
    refused: int
    outcomes: dict[str, int]


class Usage(Response, rename={"from_": "from"}):
    """GET /v1/usage and /v1/api-keys/{key_id}/usage. The range holds ``from`` and not ``to``."""

    from_: Time
    to: Time
    granularity: Annotated[str, known(Granularity)]
    series: list[UsageSeries]
    totals: UsageTotals
