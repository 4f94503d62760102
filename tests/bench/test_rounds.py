"""The statistics: alternation, medians, ratios, remarks."""

from __future__ import annotations

import pytest
from bench import p10_latency
from bench.common.goals import Goal
from bench.common.results import Round
from bench.common.rounds import added, alternate, ratio_of_medians, run_alternating
from bench.common.side_by_side import outcome, remarks


def test_rounds_alternate() -> None:
    """A B A B: never all of one system first."""
    assert [name for _, name in alternate(["A", "B"], 3)] == ["A", "B", "A", "B", "A", "B"]


def test_measures_are_called_in_turn_and_kept_by_name() -> None:
    """Each measure gets the round's number; what it gives is kept in order."""
    calls: list[str] = []

    def measure(name: str, number: int) -> str:
        calls.append(f"{name}{number}")
        return calls[-1]

    taken = run_alternating({"A": lambda n: measure("A", n), "B": lambda n: measure("B", n)}, 2)
    assert calls == ["A0", "B0", "A1", "B1"]
    assert taken == {"A": ["A0", "A1"], "B": ["B0", "B1"]}


def test_a_ratio_is_that_of_the_medians() -> None:
    """One wild round moves nothing."""
    assert ratio_of_medians([80, 90, 1], [100, 100_000, 90]) == 0.8
    assert added([30, 20, 999], [10, 0, 12]) == 20


def test_a_ratio_to_nothing_is_refused() -> None:
    """A base that answered nothing is a failed run, and not an infinite success."""
    with pytest.raises(ValueError, match="positive"):
        ratio_of_medians([1], [0])


def _round(system: str, *, generator_bound: bool = False, share: float = 1.0) -> Round:
    return {"system": system, "generator_bound": generator_bound, "system_cpu_share": share}


def test_undisturbed_rounds_need_no_remark() -> None:
    """Where the system set the pace, the figure speaks for itself."""
    assert remarks([_round("A"), _round("B")]) == []


def test_rounds_with_another_bottleneck_are_marked() -> None:
    """A generator at its limit, and a core that was shared, are said beside the figure."""
    found = remarks([_round("A"), _round("B", generator_bound=True, share=0.5), _round("A", share=0.6)])
    assert len(found) == 2
    assert found[0].startswith("In 1 of 3 rounds (B) the load generator was the bottleneck")
    assert found[1].startswith("In 1 of 3 rounds (A) the system had less than 90% of its core")


def test_a_measurement_in_process_is_marked_too() -> None:
    """Where no generator takes part, a core that was shared still shows."""
    assert len(remarks([{"system": "the gate", "system_cpu_share": 0.5}])) == 1


def test_sides_are_compared_two_by_two() -> None:
    """Of three systems measured together, each goal has the ratio of its own two; who stands beside is kept."""
    taken = {name: [{**_round(name), "requests_per_s": speed}] for name, speed in [("A", 30), ("B", 10), ("C", 60)]}
    goal = Goal("P3", "a ratio", ">=", 1.2, "ratio")
    assert outcome(goal, taken, "A", "B").value == 3
    assert outcome(goal, taken, "A", "C").value == 0.5
    assert [each["system"] for each in outcome(goal, taken, "A", "B", "C").rounds] == ["A", "B", "C"]


def test_added_latency_is_that_of_the_medians() -> None:
    """The gate's p50 and p99 less those of the bare answer; a late generator is told beside them."""

    def timed(p50_ms: float, p99_ms: float, late_ms: float = 0.0) -> Round:
        return {"p50_ms": p50_ms, "p99_ms": p99_ms, "generator_late_p99_ms": late_ms}

    found = p10_latency.outcomes({"aitbc": [timed(0.3, 2), timed(0.4, 3)], "bare": [timed(0.1, 1), timed(0.2, 1, 9)]})
    assert [round(each.value, 3) for each in found] == [0.2, 1.5]
    assert found[0].remarks[0].startswith("In 1 of 4 rounds the generator sent")
    assert p10_latency.outcomes({"aitbc": [timed(1, 1)], "bare": [timed(1, 1)]})[0].remarks == []
