"""Stacked bars over time, such as requests by what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from aitbc_server.dashboard.charts.axes import BASELINE, HEIGHT, TimeAxis, height_of, nice_ticks, time_axis
from aitbc_server.dashboard.charts.axes import value_axis as values_of
from aitbc_server.dashboard.charts.numbers import DAY_MS, compact, counted, interval
from aitbc_server.dashboard.charts.series import Series, fill, legend, patterns, tone_class
from aitbc_server.dashboard.charts.svg import Value, element, joined, percent
from aitbc_server.dashboard.charts.tables import Row, figure, table
from aitbc_server.dashboard.formats import grouped

_UNIT = {60_000: "minute", 3_600_000: "hour", 86_400_000: "day"}
# How much of its interval a bar fills.
_BAR = 0.82
# Of more series than these a tip tells the sum alone: the table has them all.
_MANY = 4


def stacked_bars(
    chart_id: str,
    title: str,
    axis: TimeAxis,
    series: Sequence[Series],
    *,
    limit: int | None = None,
    noun: str = "request",
) -> Markup:
    """Bars over time, the first series at the bottom; with a line at ``limit`` where one is given.

    ``chart_id`` is unique on the page. Each series has a value for each interval of ``axis``.
    """
    shown = [each for each in series if any(each.values)]
    if not shown:
        return figure(chart_id, element("p", f"No {noun}s in this time.", class_="chart-empty"))
    totals = [sum(values) for values in zip(*(each.values for each in shown), strict=True)]
    ticks = nice_ticks(max(*totals, limit or 0, 1))
    drawing = element(
        "svg",
        element("title", title, id=f"{chart_id}-title"),
        element("desc", _description(axis, shown, totals, noun, limit), id=f"{chart_id}-desc"),
        patterns(chart_id, [each.tone for each in shown]),
        *values_of(ticks),
        *time_axis(axis),
        *_bars(chart_id, axis, shown, ticks[-1]),
        *_limit_line(limit, ticks[-1]),
        _tips(axis, shown, totals),
        class_="chart-svg",
        role="img",
        aria_labelledby=f"{chart_id}-title {chart_id}-desc",
        width="100%",
        height=HEIGHT,
    )
    keys = legend(chart_id, shown) if len(series) > 1 else ""
    plot = element("div", drawing, class_="chart-plot")
    # By these the script knows the time of everything that is drawn: a time in each would be a tenth of a page.
    times: dict[str, Value] = {
        "data_from": axis.from_ms // 1000,
        "data_step": axis.step_ms // 1000,
        "data_intervals": axis.intervals,
    }
    return figure(chart_id, plot, _zone(axis), keys, _table(title, axis, shown, totals), **times)


def _zone(axis: TimeAxis) -> Markup:
    """Whose times they are. The script takes it away with the times that it makes local."""
    if axis.step_ms >= DAY_MS:
        return element("p", "Days are those of UTC.", class_="chart-zone")
    return element("p", "Times are UTC.", class_="chart-zone", data_utc="")


def _description(axis: TimeAxis, series: Sequence[Series], totals: list[int], noun: str, limit: int | None) -> str:
    starts = axis.starts()
    highest = max(range(axis.intervals), key=totals.__getitem__)
    parts = "; ".join(f"{each.name}: {grouped(sum(each.values))}" for each in series)
    first, end = interval(starts[0], axis.step_ms), interval(starts[-1] + axis.step_ms, axis.step_ms)
    words = [
        f"{counted(sum(totals), noun)} from {first} to {end} UTC, by the {_UNIT[axis.step_ms]}.",
        f"{parts}.",
        f"The most were {grouped(totals[highest])} at {interval(starts[highest], axis.step_ms)}.",
    ]
    if limit is not None:
        words.append(f"The limit is {grouped(limit)}.")
    return " ".join(words)


def _bars(chart_id: str, axis: TimeAxis, series: Sequence[Series], top: int) -> Iterator[Markup]:
    below = [0] * axis.intervals
    width = percent(_BAR / axis.intervals)
    for each in series:
        bars = []
        for index, value in enumerate(each.values):
            if value:
                foot = height_of(below[index], top)
                # A single refusal among thousands must not vanish: a bar is a pixel high at least.
                height = max(height_of(below[index] + value, top) - foot, 1)
                x = percent((index + (1 - _BAR) / 2) / axis.intervals)
                bars.append(element("rect", x=x, y=BASELINE - foot - height, width=width, height=height))
                below[index] += value
        yield element("g", *bars, class_=tone_class(each.tone), fill=fill(chart_id, each.tone))


def _limit_line(limit: int | None, top: int) -> Iterator[Markup]:
    if limit is not None:
        y = BASELINE - height_of(limit, top)
        yield element(
            "line", class_="chart-limit", x1=0, x2="100%", y1=y, y2=y, stroke="currentColor", stroke_dasharray="6 4"
        )
        yield element(
            "text", f"Limit {compact(limit)}", class_="chart-limit-label", x="100%", y=y - 6, text_anchor="end"
        )


def _tips(axis: TimeAxis, series: Sequence[Series], totals: list[int]) -> Markup:
    """What a pointer that rests on an interval shows: its numbers, or their sum where they are many."""
    tips = [
        element(
            "rect",
            element("title", f"{interval(start, axis.step_ms)} UTC: {_tip(series, index, totals[index])}"),
            x=percent(index / axis.intervals),
            width=percent(1 / axis.intervals),
            height=BASELINE,
        )
        for index, start in enumerate(axis.starts())
        if totals[index]
    ]
    return element("g", *tips, class_="chart-tips")


def _tip(series: Sequence[Series], index: int, total: int) -> str:
    if len(series) == 1:
        return grouped(total)
    if len(series) > _MANY:
        return f"{grouped(total)} in all"
    return ", ".join(f"{each.name} {grouped(each.values[index])}" for each in series if each.values[index])


def _table(title: str, axis: TimeAxis, series: Sequence[Series], totals: list[int]) -> Markup:
    unit = _UNIT[axis.step_ms].capitalize()
    # One series has no total beside it.
    several = len(series) > 1
    starts = axis.starts()
    # The newest first, as in every list of the dashboard.
    used = [index for index in reversed(range(axis.intervals)) if totals[index]]
    rows: list[Row] = [
        [
            interval(starts[index], axis.step_ms),
            *[each.values[index] for each in series],
            *([totals[index]] if several else []),
        ]
        for index in used
    ]
    zone = element("span", " (UTC)", data_utc=None if axis.step_ms >= DAY_MS else "")
    columns = [joined([unit, zone]), *[each.name for each in series], *(["Total"] if several else [])]
    return table(title, columns, rows, empty_left_out=True)
