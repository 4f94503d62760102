"""Bars from the largest to the smallest, such as requests by operation."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from aitbc_server.dashboard.charts.numbers import counted
from aitbc_server.dashboard.charts.series import Tone, tone_class
from aitbc_server.dashboard.charts.svg import element, percent
from aitbc_server.dashboard.charts.tables import figure, table
from aitbc_server.dashboard.formats import grouped

_ROW = 42
_SHOWN = 8
_OTHERS = "All others"


def ranking(
    chart_id: str, title: str, items: Sequence[tuple[str, int]], *, noun: str = "request", column: str = "Name"
) -> Markup:
    """A bar for each (name, count), the largest first. Beyond eight the rest is one bar; the table has them all."""
    ordered = sorted((each for each in items if each[1]), key=lambda each: (-each[1], each[0]))
    if not ordered:
        return figure(chart_id, element("p", f"No {noun}s in this time.", class_="chart-empty"))
    shown = ordered
    if len(ordered) > _SHOWN:
        shown = [*ordered[: _SHOWN - 1], (_OTHERS, sum(count for _, count in ordered[_SHOWN - 1 :]))]
    largest = max(count for _, count in shown)
    total = sum(count for _, count in ordered)
    drawing = element(
        "svg",
        element("title", title, id=f"{chart_id}-title"),
        element("desc", _description(shown, total, noun), id=f"{chart_id}-desc"),
        *[_bar(index, name, count, count / largest) for index, (name, count) in enumerate(shown)],
        class_="chart-svg",
        role="img",
        aria_labelledby=f"{chart_id}-title {chart_id}-desc",
        width="100%",
        height=len(shown) * _ROW,
    )
    return figure(chart_id, drawing, table(title, [column, f"{noun.capitalize()}s"], ordered))


def _description(shown: Sequence[tuple[str, int]], total: int, noun: str) -> str:
    return f"{counted(total, noun)}. " + "; ".join(f"{name}: {grouped(count)}" for name, count in shown) + "."


def _bar(index: int, name: str, count: int, share: float) -> Markup:
    y = index * _ROW
    return element(
        "g",
        element("text", name, class_="chart-name", x=0, y=y + 16),
        element("text", grouped(count), class_="chart-name", x="100%", y=y + 16, text_anchor="end"),
        element("rect", class_="chart-track", y=y + 23, width="100%", height=8, rx=4, fill="currentColor"),
        element(
            "rect",
            class_=tone_class(Tone.BLUE),
            y=y + 23,
            # Never so short that its round ends have no room.
            width=percent(max(share, 0.02)),
            height=8,
            rx=4,
            fill="currentColor",
        ),
    )
