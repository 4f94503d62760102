"""Axes: round numbers on the one, round times on the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from markupsafe import Markup

from aitbc_server.clock import from_ms
from aitbc_server.dashboard.charts.numbers import DAY_MS, clock_time, compact, day
from aitbc_server.dashboard.charts.svg import element, percent

#: Pixels from the top of the chart to the highest line, down to the baseline, and of the whole chart.
TOP, BASELINE, HEIGHT = 22, 190, 218

_STEPS = (1, 2, 5)
_MOST_INTERVALS = 4
_HOUR_MS = 3_600_000
_MONDAY = 0
# So near to the end of the axis a label would stand outside of the chart, or on the one before it where it is narrow.
_EDGE = 0.96


class TimeAxis(NamedTuple):
    """``intervals`` of ``step_ms`` (a minute, an hour or a day) each, the first of which starts at ``from_ms``."""

    from_ms: int
    step_ms: int
    intervals: int

    def starts(self) -> list[int]:
        """When each interval starts."""
        return [self.from_ms + index * self.step_ms for index in range(self.intervals)]

    def values(self, points: Iterable[tuple[int, int]]) -> list[int]:
        """A value for each interval from (moment in ms, value); what is outside of the axis is left out."""
        values = [0] * self.intervals
        for ms, value in points:
            index = (ms - self.from_ms) // self.step_ms
            if 0 <= index < self.intervals:
                values[index] += value
        return values


def nice_ticks(highest: int) -> list[int]:
    """From 0 in equal, round steps of whole numbers (1, 2 or 5 times a power of ten) to ``highest`` or above it."""
    magnitude = 1
    while True:
        for step in _STEPS:
            if step * magnitude * _MOST_INTERVALS >= highest:
                size = step * magnitude
                return list(range(0, max(-(-highest // size), 1) * size + 1, size))
        magnitude *= 10


def height_of(value: float, top: int) -> int:
    """The height in whole pixels of a bar on an axis that goes up to ``top``."""
    return round(value * (BASELINE - TOP) / top)


def value_axis(ticks: list[int]) -> Iterator[Markup]:
    """A line across the chart for each tick, with its number left of the chart."""
    for tick in ticks:
        y = BASELINE - height_of(tick, ticks[-1])
        name = "chart-baseline" if tick == 0 else "chart-grid"
        yield element("line", class_=name, x1=0, x2="100%", y1=y, y2=y, stroke="currentColor")
        yield element("text", compact(tick), class_="chart-label", x=-8, y=y + 4, text_anchor="end")


def time_axis(axis: TimeAxis) -> Iterator[Markup]:
    """A few labels below the baseline, each where its interval starts."""
    for index, start in enumerate(axis.starts()):
        label = _label(start, axis.step_ms)
        if label is None:
            continue
        where = index / axis.intervals
        x = percent(where)
        yield element("line", class_="chart-baseline", x1=x, x2=x, y1=BASELINE, y2=BASELINE + 5, stroke="currentColor")
        if where <= _EDGE:
            yield element("text", label, class_="chart-label", x=x, y=BASELINE + 20, text_anchor="middle")


def _label(start_ms: int, step_ms: int) -> str | None:
    """What stands below an interval; None below most of them."""
    if step_ms >= DAY_MS:
        return day(start_ms) if from_ms(start_ms).weekday() == _MONDAY else None
    if step_ms >= _HOUR_MS:
        hour = start_ms // _HOUR_MS % 24
        return None if hour % 6 else clock_time(start_ms) if hour else day(start_ms)
    return None if start_ms // step_ms % 15 else clock_time(start_ms)
