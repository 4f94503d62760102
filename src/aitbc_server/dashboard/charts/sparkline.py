"""A small chart for a row of a table: a day by the hour."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from aitbc_server.dashboard.charts.numbers import counted
from aitbc_server.dashboard.charts.series import Tone, tone_class
from aitbc_server.dashboard.charts.svg import element
from aitbc_server.dashboard.formats import grouped

_STEP, _HEIGHT = 4, 24


def sparkline(allowed: Sequence[int], refused: Sequence[int], *, span: str = "the last 24 hours") -> Markup:
    """A bar for each interval, refused requests on top; of a few hundred bytes, as a page has many of them.

    What it shows is in its name too: how many requests, and how many of them were refused.
    """
    totals = [sum(each) for each in zip(allowed, refused, strict=True)]
    highest = max(totals, default=0)
    words = f"No requests in {span}"
    if highest:
        words = f"{counted(sum(totals), 'request')} in {span}, {grouped(sum(refused))} refused"
    width = len(totals) * _STEP
    heights = [_pixels(each, highest) for each in allowed]
    return element(
        "svg",
        element("title", words),
        element("path", class_="spark-baseline", d=f"M0 {_HEIGHT - 0.5}h{width}", stroke="currentColor", fill="none"),
        *_path(Tone.BLUE, heights, [0] * len(totals)),
        *_path(Tone.ORANGE, [_pixels(each, highest) for each in refused], heights),
        class_="spark",
        role="img",
        aria_label=words,
        width=width,
        height=_HEIGHT,
        viewBox=f"0 0 {width} {_HEIGHT}",
    )


def _pixels(value: int, highest: int) -> int:
    """The height of a bar: a pixel at least where there is anything, and room for a stack of two."""
    return max(1, round(value * (_HEIGHT - 2) / highest)) if value else 0


def _path(tone: Tone, heights: Sequence[int], feet: Sequence[int]) -> list[Markup]:
    bars = [
        f"M{index * _STEP} {_HEIGHT - foot}v-{height}h{_STEP - 1}v{height}z"
        for index, (height, foot) in enumerate(zip(heights, feet, strict=True))
        if height
    ]
    return [element("path", class_=tone_class(tone), d="".join(bars), fill="currentColor")] if bars else []
