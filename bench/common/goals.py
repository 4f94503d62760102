"""A goal: a figure, and the side of it on which a measurement must lie."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

#: Decimal places in which a value of a unit is kept, shown and judged.
_PLACES = {"ratio": 3, "1/s": 0, "bytes": 0, "ms": 1}

Unit = Literal["ratio", "1/s", "bytes", "ms"]


class Goal(msgspec.Struct, frozen=True):
    """What is measured and what is wanted of it: at least (``>=``) or at most (``<=``) ``bound``, in ``unit``."""

    id: str
    what: str
    side: Literal[">=", "<="]
    bound: float
    unit: Unit

    def rounded(self, value: float) -> float:
        """``value`` as it is kept: rounded away from the goal, so that rounding never makes a goal met."""
        scale = 10.0 ** _PLACES[self.unit]
        # A value that is exact in decimals (0.85) is not so in binary; a billionth decides nothing.
        whole = math.floor(value * scale + 1e-9) if self.side == ">=" else math.ceil(value * scale - 1e-9)
        return whole / scale

    def is_met(self, value: float) -> bool:
        """Whether ``value`` lies on the wanted side."""
        return value >= self.bound if self.side == ">=" else value <= self.bound

    def text(self) -> str:
        """``>= 0.85``, ``<= +80 ms``."""
        return f"{self.side} {figure(self.bound, self.unit)}"


def figure(value: float, unit: Unit) -> str:
    """A figure with its unit, for people."""
    if unit == "ratio":
        return f"{value:.3f}".removesuffix("0")
    number = f"{value:,.{_PLACES[unit]}f}".removesuffix(".0")
    return {"1/s": f"{number}/s", "bytes": f"{number} bytes", "ms": f"{value:+,.1f} ms".replace(".0 ms", " ms")}[unit]
