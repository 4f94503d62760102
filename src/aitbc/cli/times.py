"""Times and durations, as people type and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
# Up to here a time ahead is told in seconds.
_SECONDS_UP_TO = 100
_DURATION = re.compile(r"(\d{1,7})([smhdw])", re.ASCII)


def parse_duration(text: str) -> timedelta | None:
    """``90s 15m 24h 90d 2w`` as a timedelta; None for anything else."""
    match = _DURATION.fullmatch(text.strip())
    return timedelta(seconds=int(match[1]) * _UNITS_S[match[2]]) if match else None


def parse_moment(text: str) -> datetime | None:
    """An RFC 3339 time with its time zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def rfc3339(moment: datetime) -> str:
    """The time in UTC with milliseconds and ``Z``, as the API writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def short(moment: datetime) -> str:
    """The time in UTC to the second, for tables."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def span(delta: timedelta) -> str:
    """A length of time in one unit, rounded down: ``45s``, ``12m``, ``5h``, ``97d``."""
    seconds = max(int(delta.total_seconds()), 0)
    for unit, unit_s in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= unit_s:
            return f"{seconds // unit_s}{unit}"
    return f"{seconds}s"


def span_ahead(delta: timedelta) -> str:
    """A length of time that has only just begun, to the nearest: what was 24 hours a second ago is ``1d``, not ``23h``.

    In one unit or two: ``90s``, ``12m``, ``1h 30m``, ``97d 2h``.
    """
    seconds = max(delta.total_seconds(), 0)
    if seconds < _SECONDS_UP_TO:
        return f"{round(seconds)}s"
    for unit, unit_s, part, part_s in (("d", 86400, "h", 3600), ("h", 3600, "m", 60)):
        whole, rest = divmod(round(seconds / part_s), unit_s // part_s)
        if whole:
            return f"{whole}{unit} {rest}{part}" if rest else f"{whole}{unit}"
    return f"{rest}m"


def relative(moment: datetime | None, now: datetime, *, none: str = "-") -> str:
    """``5h ago`` or ``in 12d 3h``; ``none`` where there is no time."""
    if moment is None:
        return none
    return f"in {span_ahead(moment - now)}" if moment > now else f"{span(now - moment)} ago"


class DurationType(click.ParamType):  # type: ignore[type-arg] # no generic in click 8.1
    """A duration such as ``24h``, within bounds that are written the same way."""

    name = "duration"

    def __init__(self, *, at_least: str = "0s", at_most: str | None = None) -> None:
        self.at_least = at_least
        self.at_most = at_most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parse, or fail as a usage error."""
        if isinstance(value, timedelta):
            return value
        duration = parse_duration(str(value))
        if duration is None:
            self.fail(f"{value!r} is no duration; write for example 30m, 24h or 7d", param, ctx)
        if duration < _known(self.at_least):
            self.fail(f"{value!r} is too short; it must be {self.at_least} or more", param, ctx)
        if self.at_most is not None and duration > _known(self.at_most):
            self.fail(f"{value!r} is too long; it must be {self.at_most} or less", param, ctx)
        return duration


def _known(text: str) -> timedelta:
    duration = parse_duration(text)
    assert duration is not None
    return duration


class MomentType(click.ParamType):  # type: ignore[type-arg] # no generic in click 8.1
    """A time: RFC 3339, or a duration that the command counts from now."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime | timedelta:
        """Parse, or fail as a usage error."""
        if isinstance(value, (datetime, timedelta)):
            return value
        moment: datetime | timedelta | None = parse_duration(str(value))
        if moment is None:
            moment = parse_moment(str(value))
        if moment is None:
            self.fail(f"{value!r} is no time; write for example 90d, or 2030-01-31T12:00:00Z", param, ctx)
        return moment


DURATION = DurationType()
MOMENT = MomentType()


def after(now: datetime, moment: datetime | timedelta | None) -> datetime | None:
    """The time meant by an option: a duration counts forward from ``now``."""
    return _resolve(now, moment, 1)


def before(now: datetime, moment: datetime | timedelta | None) -> datetime | None:
    """The time meant by an option: a duration counts back from ``now``."""
    return _resolve(now, moment, -1)


def _resolve(now: datetime, moment: datetime | timedelta | None, sign: int) -> datetime | None:
    if not isinstance(moment, timedelta):
        return moment
    try:
        return now + sign * moment
    except OverflowError as error:
        raise click.UsageError("that time is too far away") from error
