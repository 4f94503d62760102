"""How times, spans and numbers read on the pages. Times are UTC and say so; the script makes them local."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from aitbc_server.clock import from_ms, to_ms

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SPANS = ((365 * _DAY, "year"), (30 * _DAY, "month"), (_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute"))
_TIME = Markup('<time datetime="{iso}"{kind} title="{exact}">{text}</time>')


def exact(at: datetime) -> str:
    """``24 Nov 2026, 05:46 UTC``."""
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def time(at: datetime | None, never: str = "never") -> Markup | str:
    """The time, exact to the minute; ``never`` where there is none."""
    return never if at is None else _element(at, exact(at), "time")


def day(at: datetime) -> str:
    """``24 Nov 2026``, for where there is no place for an element."""
    return f"{at.day} {at:%b %Y}"


def iso(at: datetime) -> str:
    """As the API writes it."""
    return from_ms(to_ms(at)).text()


def date(at: datetime | None, never: str = "never") -> Markup | str:
    """The day of a time."""
    return never if at is None else _element(at, day(at), "date")


@pass_context
def ago(context: Context, at: datetime | None, never: str = "never") -> Markup | str:
    """How long ago, or in how long: ``3 minutes ago``, ``in 2 days``. The exact time stands in its title."""
    return never if at is None else _element(at, relative(at, context["now"]), "relative")


@pass_context
def age(context: Context, at: datetime) -> str:
    """How old something is: ``3 days``."""
    return span((context["now"] - at) // timedelta(seconds=1))


def relative(at: datetime, now: datetime) -> str:
    """``at`` as seen at ``now``."""
    seconds = (now - at) // timedelta(seconds=1)
    if -_MINUTE < seconds < _MINUTE:
        return "just now" if seconds >= 0 else "in less than a minute"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}"


def span(seconds: int) -> str:
    """The largest whole unit of a span: ``1 day``, ``5 hours``."""
    for unit_s, name in _SPANS:
        count = seconds // unit_s
        if count:
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "less than a minute"


def grouped(number: int) -> str:
    """Digits in groups of three, with a space that never breaks: 1 000 000."""
    return f"{number:,}".replace(",", "\u202f")


def _element(at: datetime, text: str, kind: str) -> Markup:
    return _TIME.format(iso=iso(at), kind=Markup(' data-time="{}"').format(kind), exact=exact(at), text=text)


FILTERS: dict[str, Any] = {
    "time": time,
    "date": date,
    "day": day,
    "iso": iso,
    "ago": ago,
    "age": age,
    "grouped": grouped,
    "span": span,
}
