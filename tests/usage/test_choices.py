"""What a reader chose to see, and the charts that show it."""

from __future__ import annotations

import pytest
from tests.usage.world import START_US

from aitbc.schemas.scopes import Environment
from aitbc.schemas.usage import Usage, UsageSeries, UsageTotals
from aitbc_server.clock import from_ms
from aitbc_server.dashboard.charts import TimeAxis
from aitbc_server.usage.choices import By, Choice, Window
from aitbc_server.usage.pictures import by_operation, requests_by_key, requests_by_outcome

NOW_MS = START_US // 1000
AXIS = Choice(Window.HOUR).axis(NOW_MS)


@pytest.mark.parametrize(
    ("window", "first", "end"),
    [
        (Window.HOUR, "2026-11-24T04:47:00.000Z", "2026-11-24T05:47:00.000Z"),
        (Window.DAY, "2026-11-23T06:00:00.000Z", "2026-11-24T06:00:00.000Z"),
        (Window.MONTH, "2026-10-26T00:00:00.000Z", "2026-11-25T00:00:00.000Z"),
    ],
)
def test_a_window_ends_with_the_present_interval(window: Window, first: str, end: str) -> None:
    """60 minutes, 24 hours, 30 days; the question and the chart's axis are of the same time."""
    choice = Choice(window)
    axis, span = choice.axis(NOW_MS), choice.span(NOW_MS)
    assert (from_ms(axis.from_ms).text(), from_ms(span.to_ms).text()) == (first, end)
    assert (span.from_ms, span.step_ms) == (axis.from_ms, axis.step_ms)
    assert span.to_ms - span.from_ms == axis.intervals * axis.step_ms


def test_a_choice_comes_from_the_address_and_goes_back_into_it() -> None:
    """What makes no sense is not chosen."""
    typed = {"window": "hour", "by": "key", "environment": "test"}
    choice = Choice.of(lambda name: typed.get(name, ""))
    assert choice == Choice(Window.HOUR, By.KEY, Environment.TEST)
    assert choice.query() == "?window=hour&by=key&environment=test"
    assert choice.query(environment=None, window="day") == "?window=day&by=key"
    assert Choice.of(lambda _: "nonsense") == Choice()


def usage(*series: UsageSeries) -> Usage:
    """An answer of which only the series matter."""
    totals = UsageTotals(total=0, allowed=0, refused=0, outcomes={})
    return Usage(from_=from_ms(0), to=from_ms(0), granularity="minute", series=list(series), totals=totals)


def test_rare_outcomes_are_one_series() -> None:
    """Each frequent one looks the same everywhere; the others are summed up, later ones too."""
    at = from_ms(AXIS.from_ms)
    outcomes = ["allowed", "tenant_mismatch", "disabled_api_key", "of_a_later_release"]
    chart = requests_by_outcome(
        "c", "Requests", AXIS, usage(*[UsageSeries(points=[(at, 2)], outcome=outcome) for outcome in outcomes])
    )
    assert "Allowed 2, Other refusals 6" in chart


def test_keys_beyond_five_are_one_series() -> None:
    """The five with the most have names; a key without a known name is told by its id."""
    at = from_ms(AXIS.from_ms)
    series = [UsageSeries(points=[(at, 10 - number)], key_id=f"key_{number}") for number in range(8)]
    chart = requests_by_key("c", "Requests", AXIS, usage(*series), {"key_0": "Billing & co"})
    for name, count in (("Billing &amp; co", 10), ("key_4", 6), ("All other keys", 5 + 4 + 3)):
        assert f"{name} <b>{count}</b>" in chart
    assert "key_5" not in chart


def test_operations_have_their_names() -> None:
    """The largest first."""
    at = from_ms(AXIS.from_ms)
    counts = [("jobs.list", 1), ("jobs.create", 3)]
    chart = by_operation("c", "By operation", usage(*[UsageSeries([(at, n)], operation=name) for name, n in counts]))
    assert chart.index("Create a job") < chart.index("List jobs")


def test_an_axis_is_what_a_chart_needs() -> None:
    """The first minute of the hour is on it."""
    assert TimeAxis(NOW_MS // 60_000 * 60_000 - 59 * 60_000, 60_000, 60) == AXIS
