"""Goals: what counts as met, and how figures are shown."""

from __future__ import annotations

import pytest
from bench.common.goals import Goal, Unit, figure

AT_LEAST = Goal("P1", "a ratio", ">=", 0.85, "ratio")
AT_MOST = Goal("P9", "a time", "<=", 80, "ms")


@pytest.mark.parametrize(
    ("value", "kept", "met"),
    [(0.85, 0.85, True), (0.8499999, 0.849, False), (0.8509, 0.850, True), (1.0, 1.0, True), (0.1, 0.1, False)],
)
def test_at_least_is_rounded_down(value: float, kept: float, met: bool) -> None:
    """Rounding never makes a goal met: 0.84999 is not 0.85."""
    assert AT_LEAST.rounded(value) == kept
    assert AT_LEAST.is_met(AT_LEAST.rounded(value)) is met


@pytest.mark.parametrize(("value", "kept", "met"), [(80, 80, True), (80.01, 80.1, False), (12.34, 12.4, True)])
def test_at_most_is_rounded_up(value: float, kept: float, met: bool) -> None:
    """The other way round for an upper bound."""
    assert AT_MOST.rounded(value) == kept
    assert AT_MOST.is_met(AT_MOST.rounded(value)) is met


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.85, "ratio", "0.85"),
        (0.9, "ratio", "0.90"),
        (0.912, "ratio", "0.912"),
        (150_000, "1/s", "150,000/s"),
        (2048, "bytes", "2,048 bytes"),
        (80, "ms", "+80 ms"),
        (12.4, "ms", "+12.4 ms"),
        (-0.3, "ms", "-0.3 ms"),
    ],
)
def test_figures_carry_their_unit(value: float, unit: Unit, text: str) -> None:
    """Every figure says what it is in."""
    assert figure(value, unit) == text


def test_a_goal_reads_as_a_bound() -> None:
    """The bound is shown as it is written in the goals."""
    assert AT_LEAST.text() == ">= 0.85"
    assert AT_MOST.text() == "<= +80 ms"
