"""Charts: what they show, that everybody can read it, and that no text in them becomes markup."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from aitbc_server.dashboard.charts import Series, TimeAxis, Tone, gauge, ranking, sparkline, stacked_bars
from aitbc_server.dashboard.charts.axes import nice_ticks
from aitbc_server.dashboard.charts.numbers import compact

HOUR_MS = 3_600_000
#: 2026-11-23T06:00Z: the 24 hours that end at 06:00 on the 24th.
AXIS = TimeAxis(1_795_413_600_000, HOUR_MS, 24)
HOSTILE = "</title><script>alert(1)</script>\" onload='x'"


def values(*pairs: tuple[int, int]) -> list[int]:
    """24 values, those that are not given 0."""
    given_ones = dict(pairs)
    return [given_ones.get(index, 0) for index in range(24)]


def chart(*series: Series, limit: int | None = None) -> Markup:
    return stacked_bars("chart", "Requests", AXIS, series, limit=limit)


def parsed(markup: Markup) -> ET.Element:
    """The markup as a tree: it is well formed, then."""
    return ET.fromstring(f"<div>{markup}</div>")  # noqa: S314 - the text is our own


ALLOWED = Series("Allowed", Tone.BLUE, values((0, 40), (23, 7)))
REFUSED = Series("Refused", Tone.ORANGE, values((23, 1)))


def rectangles(tree: ET.Element, tone: Tone) -> list[ET.Element]:
    """The bars of a tone in a chart."""
    [group] = [each for each in tree.iter("g") if each.get("class") == f"chart-tone-{tone.value}"]
    return list(group)


def test_bars_stand_on_each_other_in_proportion() -> None:
    """A bar's height is its value on the axis, and the second series begins where the first ends."""
    tree = parsed(chart(ALLOWED, REFUSED))
    first, last = rectangles(tree, Tone.BLUE)
    [refused] = rectangles(tree, Tone.ORANGE)
    assert first.get("height") == "168"
    assert last.get("height") == str(round(7 / 40 * 168))
    assert int(refused.get("y", "")) + int(refused.get("height", "")) == int(last.get("y", ""))
    assert refused.get("x") == last.get("x") == "96.21%"


def test_the_table_has_the_same_numbers() -> None:
    """Behind each chart: a caption, headers with a scope, a row for each interval with requests, newest first."""
    tree = parsed(chart(ALLOWED, REFUSED))
    [table] = tree.iter("table")
    rows = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
    assert rows == [
        ["Hour (UTC)", "Allowed", "Refused", "Total"],
        ["24 Nov, 05:00", "7", "1", "8"],
        ["23 Nov, 06:00", "40", "0", "40"],
    ]
    assert [each.get("scope") for each in table.iter("th")] == ["col"] * 4 + ["row"] * 2
    assert table[0].tag == "caption"
    [region] = [each for each in tree.iter("div") if each.get("role") == "region"]
    assert (region.get("tabindex"), region.get("aria-label")) == ("0", "Numbers: Requests")


def test_a_chart_says_what_it_shows() -> None:
    """An image with a title and a description that name the range, the zone, the sums and the peak (WCAG 1.1.1)."""
    [svg] = [each for each in parsed(chart(ALLOWED, REFUSED)).iter("svg") if each.get("role") == "img"]
    assert svg.get("aria-labelledby") == "chart-title chart-desc"
    named = {each.get("id"): each.text for each in svg if each.get("id")}
    assert named == {
        "chart-title": "Requests",
        "chart-desc": "48 requests from 23 Nov, 06:00 to 24 Nov, 06:00 UTC, by the hour. Allowed: 47; Refused: 1. The "
        "most were 40 at 23 Nov, 06:00.",
    }


def test_series_differ_by_more_than_colour() -> None:
    """Every tone but the first has a pattern of its own, which the legend shows beside the name (WCAG 1.4.1)."""
    series = [Series(f"s{tone.value}", tone, values((1, 1 + tone.value))) for tone in Tone]
    tree = parsed(chart(*series))
    drawn = [(each.get("patternTransform"), ET.tostring(each[1])) for each in tree.iter("pattern")]
    assert len(set(drawn)) == len(Tone) - 1
    fills = [group.get("fill") for group in tree.iter("g") if group.get("class") != "chart-tips"]
    assert fills == ["currentColor", *[f"url(#chart-{tone.value})" for tone in Tone if tone]]
    [legend] = tree.iter("ul")
    items = [("".join(item.itertext()), next(item.iter("rect")).get("fill")) for item in legend]
    assert items == [(f"s{tone.value} {1 + tone.value}", fills[tone.value]) for tone in Tone]


def test_a_series_without_numbers_is_left_out() -> None:
    """A legend of seven zeros helps nobody."""
    assert "Refused" not in chart(ALLOWED, Series("Refused", Tone.ORANGE, values()))


@pytest.mark.parametrize(("step_ms", "zone"), [(HOUR_MS, "Times are"), (24 * HOUR_MS, "Days are")])
def test_a_reader_is_told_whose_times_they_are(step_ms: int, zone: str) -> None:
    """On its face; and the script finds the times by their moment, but for days, which are those of UTC for all."""
    axis = TimeAxis(0, step_ms, 24)
    tree = parsed(stacked_bars("chart", "Requests", axis, [ALLOWED]))
    [said] = [each for each in tree.iter("p") if each.get("class") == "chart-zone"]
    assert str(said.text).startswith(f"{zone} ")
    assert "UTC" in str(said.text)
    [unit] = [each for each in tree.iter("span") if each.text == " (UTC)"]
    assert (said.get("data-utc"), unit.get("data-utc")) == (("", "") if step_ms == HOUR_MS else (None, None))
    figure = tree[0]
    assert [figure.get(f"data-{name}") for name in ("from", "step", "intervals")] == ["0", str(step_ms // 1000), "24"]
    # The script goes by the order and the places of these.
    rows = [each.text for each in tree.iter("th") if each.get("scope") == "row"]
    [tips] = [each for each in tree.iter("g") if each.get("class") == "chart-tips"]
    assert [str(each[0].text).partition(" UTC")[0] for each in tips] == rows[::-1]
    assert [round(float(each.get("x", "").rstrip("%")) * 24 / 100) for each in tips] == [0, 23]


def test_a_single_request_among_thousands_is_seen() -> None:
    """A bar is a pixel high at least."""
    tree = parsed(chart(Series("Allowed", Tone.BLUE, values((0, 900_000))), REFUSED))
    assert rectangles(tree, Tone.ORANGE)[0].get("height") == "1"


def test_a_pointer_is_told_the_numbers() -> None:
    """Of each interval; of many series their sum, as the table has the rest."""
    tips = [each.text for each in parsed(chart(ALLOWED, REFUSED)).iter("title")][1:]
    assert tips == ["23 Nov, 06:00 UTC: Allowed 40", "24 Nov, 05:00 UTC: Allowed 7, Refused 1"]
    tips = [each.text for each in parsed(chart(ALLOWED)).iter("title")][1:]
    assert tips == ["23 Nov, 06:00 UTC: 40", "24 Nov, 05:00 UTC: 7"]
    many = [Series(f"s{tone.value}", tone, values((0, 1))) for tone in Tone]
    assert [each.text for each in parsed(chart(*many)).iter("title")][1:] == ["23 Nov, 06:00 UTC: 7 in all"]


def test_a_limit_is_a_line_with_a_name() -> None:
    """The line stands at the limit, and the axis reaches to it though nothing does."""
    tree = parsed(chart(ALLOWED, limit=60))
    [line] = [each for each in tree.iter("line") if each.get("class") == "chart-limit"]
    assert line.get("y1") == "22"
    assert "Limit 60" in "".join(tree.itertext())
    assert "The limit is 60." in "".join(tree.itertext())


EMPTY: dict[str, Callable[[], Markup]] = {
    "stacked": lambda: chart(Series("Allowed", Tone.BLUE, values())),
    "nothing to stack": chart,
    "ranking": lambda: ranking("r", "Operations", [("jobs.create", 0)]),
}


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_is_said_in_words(name: str) -> None:
    """No empty axes: a sentence."""
    markup = EMPTY[name]()
    assert "No requests in this time." in markup
    assert "<svg" not in markup


HOSTILE_CHARTS: dict[str, Callable[[], Markup]] = {
    "stacked": lambda: stacked_bars(
        "c", HOSTILE, AXIS, [Series(HOSTILE, Tone.BLUE, values((1, 2))), Series(HOSTILE, Tone.PINK, values((1, 2)))]
    ),
    "ranking": lambda: ranking("c", HOSTILE, [(HOSTILE, 2), ("b", 1)], column=HOSTILE),
    "gauge": lambda: gauge("c", HOSTILE, limit=5, remaining=1, reset_s=2),
    "sparkline": lambda: sparkline([1], [2], span=HOSTILE),
}


@pytest.mark.parametrize("name", HOSTILE_CHARTS)
def test_text_stays_text(name: str) -> None:
    """A key may be named like markup; it is shown as it is named, and is none (ASVS 1.2.1, 1.3.4)."""
    tree = parsed(HOSTILE_CHARTS[name]())
    assert not list(tree.iter("script"))
    assert all(attribute != "onload" for each in tree.iter() for attribute in each.attrib)
    assert any(HOSTILE in text for text in tree.itertext())


EVERY_CHART = [
    *HOSTILE_CHARTS.values(),
    lambda: chart(ALLOWED, REFUSED, limit=60),
    lambda: gauge("g", "Plan", limit=60, remaining=0, reset_s=1),
    lambda: sparkline([0] * 24, [0] * 24),
]


@pytest.mark.parametrize("make", EVERY_CHART)
def test_charts_need_no_inline_style(make: Callable[[], Markup]) -> None:
    """The Content-Security-Policy allows none, nor scripts in attributes (ASVS 3.4.3)."""
    for each in parsed(make()).iter():
        assert "style" not in each.attrib
        assert each.tag != "style"


@given(st.integers(0, 10**12))
def test_ticks_are_round_and_reach_over_everything(highest: int) -> None:
    """From 0, equal steps of 1, 2 or 5 times a power of ten, at most five lines."""
    ticks = nice_ticks(highest)
    steps = {second - first for first, second in itertools.pairwise(ticks)}
    assert ticks[0] == 0
    assert ticks[-1] >= highest
    assert 2 <= len(ticks) <= 5
    assert len(steps) == 1
    assert re.fullmatch("[125]0*", str(steps.pop()))


@pytest.mark.parametrize(
    ("axis", "labels"),
    [
        (AXIS, ["06:00", "12:00", "18:00", "24 Nov"]),
        (TimeAxis(AXIS.from_ms - 5 * 60_000, 60_000, 60), ["06:00", "06:15", "06:30", "06:45"]),
        (
            TimeAxis(1_795_478_400_000 - 29 * 24 * HOUR_MS, 24 * HOUR_MS, 30),
            ["26 Oct", "2 Nov", "9 Nov", "16 Nov", "23 Nov"],
        ),
    ],
)
def test_times_are_labelled_at_round_moments(axis: TimeAxis, labels: Sequence[str]) -> None:
    """Every quarter of an hour, every six hours, every Monday: few enough for a narrow screen."""
    ones = Series("Allowed", Tone.BLUE, [1] * axis.intervals)
    tree = parsed(stacked_bars("c", "Requests", axis, [ones]))
    assert [each.text for each in tree.iter("text") if float(each.get("y", "0")) > 200] == labels


def test_points_fall_into_their_intervals() -> None:
    """The start belongs to an interval, its end does not; what is outside is left out."""
    points = [
        (AXIS.from_ms, 1),
        (AXIS.from_ms + HOUR_MS - 1, 2),
        (AXIS.from_ms - 1, 4),
        (AXIS.from_ms + 24 * HOUR_MS, 8),
    ]
    assert AXIS.values(points) == values((0, 3))


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (9_999, "9\u202f999"), (12_000, "12k"), (1_500_000, "1.5M"), (2_000_000_000, "2B")]
)
def test_large_numbers_are_short(number: int, text: str) -> None:
    """They stand beside an axis."""
    assert compact(number) == text


def test_a_ranking_shows_the_largest_and_sums_up_the_rest() -> None:
    """Eight bars, of which the last is all others; the table names every one."""
    tree = parsed(ranking("r", "Operations", [(f"op{index}", index) for index in range(12)], column="Operation"))
    names = [each.text for each in tree.iter("text") if each.get("text-anchor") is None]
    assert names == ["op11", "op10", "op9", "op8", "op7", "op6", "op5", "All others"]
    bars = [each.get("width") for each in tree.iter("rect") if each.get("class") == "chart-tone-0"]
    assert bars[0] == f"{round(11 / 11 * 100)}%"
    rows = [["".join(cell.itertext()) for cell in row] for row in tree.iter("tr")]
    assert rows[0] == ["Operation", "Requests"]
    assert [row[1] for row in rows[1:]] == [str(count) for count in range(11, 0, -1)]


@pytest.mark.parametrize(
    ("remaining", "reset_s", "state", "words"),
    [
        (60, 0, "Unused", ["0 of 60 in the last 60 s", "60 left. No request in the last 60 seconds."]),
        (59, 60, "In use", ["1 of 60", "59 left. The oldest request stops counting in 60 s."]),
        (12, 1, "Nearly used up", ["48 of 60", "stops counting in a second."]),
        (0, 7, "Used up", ["60 of 60", "0 left. The next place is free in 7 s."]),
    ],
)
def test_a_gauge_says_how_things_stand(remaining: int, reset_s: int, state: str, words: Sequence[str]) -> None:
    """A number, a bar and a word: never colour alone."""
    tree = parsed(gauge("g", "Plan limit", limit=60, remaining=remaining, reset_s=reset_s))
    text = "".join(tree.itertext())
    assert [each.text for each in tree.iter("span")] == [state]
    assert all(each in text for each in words)
    widths = [each.get("width") for each in tree.iter("rect")]
    assert widths[1:] == ([] if remaining == 60 else [f"{round(max((60 - remaining) / 60, 0.02) * 100, 2):g}%"])


def test_a_gauge_of_a_limit_that_was_lowered_is_full_and_no_more() -> None:
    """More may be used than the limit now allows."""
    assert 'width="100%"' in gauge("g", "Plan", limit=1, remaining=0, reset_s=9)


def test_a_sparkline_is_small_and_says_its_numbers() -> None:
    """Fifty stand on a page of 60 KB: each has at most 700 bytes, its name tells the sums."""
    markup = sparkline([1000 + index for index in range(24)], [index * 40 for index in range(24)])
    [svg] = parsed(markup)
    assert svg.get("aria-label") == "35\u202f316 requests in the last 24 hours, 11\u202f040 refused"
    assert len(sparkline([17 * index for index in range(24)], [0] * 24)) < 700
    assert sparkline([0] * 24, [0] * 24).count("<path") == 1
