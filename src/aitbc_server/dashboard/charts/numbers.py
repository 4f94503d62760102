"""Numbers and moments as people read them."""

from __future__ import annotations

from aitbc_server.clock import from_ms
from aitbc_server.dashboard.formats import grouped

DAY_MS = 24 * 3_600_000
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def compact(number: int) -> str:
    """``950``, ``1 200``, ``12k``, ``1.5M``: short enough to stand beside an axis."""
    for size, unit in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k")):
        if number >= size and number >= 10_000:
            return f"{number / size:.1f}".removesuffix(".0") + unit
    return grouped(number)


def counted(number: int, noun: str) -> str:
    """``1 request``, ``1 234 requests``."""
    return f"{grouped(number)} {noun}{'' if number == 1 else 's'}"


def clock_time(ms: int) -> str:
    """``14:05``."""
    return from_ms(ms).strftime("%H:%M")


def day(ms: int) -> str:
    """``24 Nov``. The months are English on every machine."""
    moment = from_ms(ms)
    return f"{moment.day} {_MONTHS[moment.month - 1]}"


def interval(ms: int, step_ms: int) -> str:
    """The name of the interval that starts at ``ms``: ``24 Nov, 14:05``, or ``24 Nov`` where it is a day."""
    return day(ms) if step_ms >= DAY_MS else f"{day(ms)}, {clock_time(ms)}"
