"""Tables: for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from bench.common.goals import Goal, figure
from bench.common.results import Result, Round

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
    """The same for a page, with where and when it was measured, and a list of the remarks."""
    measured = list(results)
    lines = ["| id | what | figure | goal | |", "| --- | --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(row(each)) + " |" for each in measured]
    return "\n\n".join(["\n".join(lines), *_origin(measured), *_remarks(measured)])


def systems_table(results: Iterable[Result]) -> str:
    """For a page: each system's medians, goal by goal, and the versions of all that took part."""
    lines = ["| for | system | requests/s | p50 | p99 |", "| --- | --- | ---: | ---: | ---: |"]
    versions: set[str] = set()
    for each in results:
        versions |= {f"{name} {version}" for name, version in each.versions.items()}
        timed = [one for one in each.rounds if "p50_ms" in one]
        for system in dict.fromkeys(one["system"] for one in timed):
            rounds = [one for one in timed if one["system"] == system]
            cells = (_median(rounds, "requests_per_s", ",.0f"), *_latencies(rounds))
            lines.append(f"| {each.id} | {system} | {' | '.join(cells)} |")
    return "\n".join(lines) + f"\n\nTook part: {', '.join(sorted(versions, key=str.lower))}."


def _latencies(rounds: Sequence[Round]) -> tuple[str, str]:
    return _median(rounds, "p50_ms", ".2f", " ms"), _median(rounds, "p99_ms", ".2f", " ms")


def _median(rounds: Sequence[Round], name: str, form: str, unit: str = "") -> str:
    values = [one[name] for one in rounds if name in one]
    return f"{median(values):{form}}{unit}" if values else "-"


def _remarks(results: Sequence[Result]) -> list[str]:
    """One Markdown list: each remark once, behind all of the goals that it is about."""
    about: dict[str, list[str]] = {}
    for each in results:
        for remark in each.remarks:
            about.setdefault(remark, []).append(each.id)
    return ["\n".join(f"- {', '.join(ids)}: {remark}" for remark, ids in about.items())] if about else []


def _origin(results: Sequence[Result]) -> list[str]:
    origins = dict.fromkeys((each.date[:10], each.machine) for each in results)
    return [f"Measured on {date}: {machine}." for date, machine in origins]
