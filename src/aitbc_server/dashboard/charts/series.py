"""What tells series apart: a tone is a colour and a pattern, which a legend shows beside the name."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from markupsafe import Markup

from aitbc_server.dashboard.charts.svg import element, joined
from aitbc_server.dashboard.formats import grouped

_SIZE = 8


class Tone(IntEnum):
    """The colours of ``charts.css``, chosen so that people with any kind of colour vision can tell them apart."""

    BLUE = 0
    ORANGE = 1
    PINK = 2
    GREEN = 3
    YELLOW = 4
    PURPLE = 5
    GREY = 6


# What is drawn on a tile in full strength, over the same colour washed out; the first is a plain area.
_STRIPE = element("rect", width=3, height=_SIZE, fill="currentColor")
_INKS: dict[Tone, Markup] = {
    Tone.ORANGE: _STRIPE,
    Tone.PINK: element("circle", cx=4, cy=4, r=2.2, fill="currentColor"),
    Tone.GREEN: element("rect", width=_SIZE, height=3, fill="currentColor"),
    Tone.YELLOW: element("path", d="M0 0h8v2h-8zM0 2h2v6h-2z", fill="currentColor"),
    Tone.PURPLE: _STRIPE,
    Tone.GREY: element("circle", cx=2, cy=2, r=1, fill="currentColor"),
}
_TURNED = {Tone.ORANGE: "rotate(45)", Tone.PURPLE: "rotate(-45)", Tone.YELLOW: "rotate(45)"}


class Series(NamedTuple):
    """A name, how it looks, and a value for each interval."""

    name: str
    tone: Tone
    values: Sequence[int]


def fill(chart_id: str, tone: Tone) -> str:
    """The ``fill`` of what is drawn in a tone; the chart must have the tone's ``patterns``."""
    return f"url(#{chart_id}-{tone.value})" if tone in _INKS else "currentColor"


def tone_class(tone: Tone) -> str:
    """The class that sets ``color`` to the tone's."""
    return f"chart-tone-{tone.value}"


def patterns(chart_id: str, tones: Sequence[Tone]) -> Markup:
    """The definitions of these tones' patterns; ``chart_id`` keeps those of two charts on a page apart."""
    return element("defs", *[_pattern(chart_id, tone) for tone in tones if tone in _INKS])


def legend(chart_id: str, series: Sequence[Series]) -> Markup:
    """Name and sum of each series, beside a piece of what it looks like."""
    items = [
        element(
            "li",
            _swatch(chart_id, each.tone),
            each.name,
            " ",
            element("b", grouped(sum(each.values))),
        )
        for each in series
    ]
    return element("ul", joined(items), class_="chart-legend")


def _pattern(chart_id: str, tone: Tone) -> Markup:
    washed_out = element("rect", class_="chart-wash", width=_SIZE, height=_SIZE, fill="currentColor")
    return element(
        "pattern",
        washed_out,
        _INKS[tone],
        id=f"{chart_id}-{tone.value}",
        class_=tone_class(tone),
        width=_SIZE,
        height=_SIZE,
        patternUnits="userSpaceOnUse",
        patternTransform=_TURNED.get(tone),
    )


def _swatch(chart_id: str, tone: Tone) -> Markup:
    square = element("rect", width=14, height=14, rx=3, fill=fill(chart_id, tone))
    return element("svg", square, class_=f"chart-swatch {tone_class(tone)}", width=14, height=14, aria_hidden="true")
