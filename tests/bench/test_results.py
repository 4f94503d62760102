"""bench/results.json and the tables made of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from bench.catalogue import GOAL_IDS
from bench.common import results, table
from bench.common.goals import Goal
from bench.common.results import Outcome, Result, ResultsError
from bench.runner import Report, keep

GOAL = Goal("P1", "the check", ">=", 0.85, "ratio")


def make(goal_id: str = "P1", *, value: float = 0.9, remarks: tuple[str, ...] = ()) -> Result:
    """A row as a run makes it."""
    goal = Goal(goal_id, GOAL.what, GOAL.side, GOAL.bound, GOAL.unit)
    return results.result(
        Outcome(goal, value, [{"round": 1}]),
        remarks,
        versions={"python": "3.11"},
        machine="a machine",
        date="2026-11-24T12:00:00Z",
        command="python -m bench",
    )


def test_a_row_is_judged_on_what_it_shows() -> None:
    """0.84999 is shown as 0.849 and missed; 0.85 is met."""
    assert (make(value=0.84999).value, make(value=0.84999).passed) == (0.849, False)
    assert (make(value=0.85).value, make(value=0.85).passed) == (0.85, True)


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Nothing is lost on the way, and no half-written file stays behind."""
    path = tmp_path / "results.json"
    results.write(path, [make(remarks=("busy",))])
    assert results.read(path) == [make(remarks=("busy",))]
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_of_some_goals_keeps_the_others(tmp_path: Path) -> None:
    """``--only`` replaces its own rows; the file stays in the order of the goals."""
    path = tmp_path / "results.json"
    keep(path, [make("P5"), make("P9")])
    keep(path, [make("P5", value=0.7), make("P1")])
    assert [(row.id, row.value) for row in results.read(path)] == [("P1", 0.9), ("P5", 0.7), ("P9", 0.9)]


def test_rows_of_goals_that_are_gone_go_too() -> None:
    """A file never shows what nothing measures any more."""
    assert results.merged([make("P0")], [make("P1")], GOAL_IDS) == [make("P1")]


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"schema":2,"results":[]}', b"nonsense"])
def test_a_file_that_is_not_ours_says_what_to_do(content: bytes | None, tmp_path: Path) -> None:
    """Missing, empty, of another schema: the message names the file and the command."""
    path = tmp_path / "results.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ResultsError, match=r"results\.json .*make bench"):
        results.read(path)


def test_the_table_says_met_or_missed() -> None:
    """One line a goal, with its figure and its goal."""
    text = table.text_table([table.row(make()), table.row(make(value=0.5)), table.not_measured(GOAL)])
    assert [line.split()[-1] for line in text.splitlines()[1:]] == ["met", "missed", "measured"]
    assert "0.90" in text.splitlines()[1]


def test_markdown_says_where_it_was_measured_and_what_was_odd() -> None:
    """The table for the README carries its origin and each remark, once for all that it is about."""
    busy = "The machine was busy."
    text = table.markdown_table([make(remarks=(busy,)), make("P5", remarks=("Odd.", busy))])
    assert "| P1 | the check | 0.90 | >= 0.85 | met |" in text.splitlines()
    assert "Measured on 2026-11-24: a machine." in text
    assert "\n\n- P1, P5: The machine was busy.\n- P5: Odd." in text


def test_the_page_shows_every_system() -> None:
    """One line a system with its medians; rounds without a latency are no system's; versions are told once."""
    rounds = [
        {"system": name, "requests_per_s": speed, "p50_ms": 1.25, "p99_ms": speed / 100}
        for name, speed in [("A", 100), ("B", 2000), ("A", 300), ("B", 1000), ("A", 200), ("B", 3000)]
    ]
    row = msgspec.structs.replace(make(), rounds=[*rounds, {"keys": 1}], versions={"nginx": "1.22", "aitbc": "0.1"})
    latency = msgspec.structs.replace(make("P10"), rounds=[{"system": "A", "p50_ms": 0.5, "p99_ms": 2}])
    lines = table.systems_table([row, latency]).splitlines()
    assert lines[2:5] == [
        "| P1 | A | 200 | 1.25 ms | 2.00 ms |",
        "| P1 | B | 2,000 | 1.25 ms | 20.00 ms |",
        "| P10 | A | - | 0.50 ms | 2.00 ms |",
    ]
    assert lines[-1] == "Took part: aitbc 0.1, nginx 1.22, python 3.11."


def test_what_took_part_besides_us_is_kept() -> None:
    """The versions and remarks of a peer go into the row, behind our own."""
    outcome = Outcome(GOAL, 0.9, [], ["busy"]).and_also({"nginx": "1.22"}, ["no HAProxy"])
    row = results.result(outcome, ["late"], versions={"python": "3.11"}, machine="", date="", command="")
    assert row.versions == {"python": "3.11", "nginx": "1.22"}
    assert row.remarks == ["busy", "no HAProxy", "late"]


def test_what_was_not_measured_is_not_met() -> None:
    """A run is a success only when every goal was measured and met."""
    assert Report([table.row(make())], [make()]).all_met
    assert not Report([table.row(make()), table.not_measured(GOAL)], [make()]).all_met
    assert not Report([table.row(make(value=0.1))], [make(value=0.1)]).all_met
    assert not Report([], []).all_met


def test_every_goal_is_measured_once() -> None:
    """No two measurements claim the same row."""
    assert len(GOAL_IDS) == len(set(GOAL_IDS))
    assert {"P1", "P5", "P6", "P8", "P9"} <= set(GOAL_IDS)
