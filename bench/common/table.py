"""Tables: for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.common.goals import Goal, figure
from bench.common.results import Result

HEADINGS = ("id", "what", "figure", "goal", "")

HOW_TO_READ = """\
A ratio compares two systems that ran side by side on one core of this machine, in alternating rounds: it means
the same elsewhere, the requests/s do not. Figures are rounded away from the goal."""


def row(result: Result) -> tuple[str, ...]:
    """One result's cells."""
    shown = figure(result.value, result.unit)
    return (result.id, result.what, shown, result.goal, "met" if result.passed else "missed")


def not_measured(goal: Goal) -> tuple[str, ...]:
    """The cells of a goal that could not be measured."""
    return (goal.id, goal.what, "-", goal.text(), "not measured")


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns under ``HEADINGS``."""
    cells = [HEADINGS, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines)


def markdown_table(results: Iterable[Result]) -> str:
    """The same for a page, with a footnote for each remark and where and when it was measured."""
    measured = list(results)
    lines = ["| id | what | figure | goal | |", "| --- | --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(row(each)) + " |" for each in measured]
    notes = _origin(measured) + [f"{each.id}: {remark}" for each in measured for remark in each.remarks]
    return "\n\n".join(["\n".join(lines), *notes])


def _origin(results: Sequence[Result]) -> list[str]:
    origins = dict.fromkeys((each.date[:10], each.machine) for each in results)
    return [f"Measured on {date}: {machine}." for date, machine in origins]
