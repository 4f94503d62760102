"""Runs measurements one after the other, and keeps what they found."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench.catalogue import GOAL_IDS, Measure
from bench.common import machine, results, table
from bench.common.machine import CannotMeasureError
from bench.common.options import Options
from bench.common.processes import ServerError
from bench.common.results import Result
from bench.common.versions import versions
from bench.common.wrk import LoadError


class Report(NamedTuple):
    """The rows of a run's table, and the results behind those that could be measured."""

    rows: list[tuple[str, ...]]
    results: list[Result]

    @property
    def all_met(self) -> bool:
        """Whether every goal of the run was measured and met."""
        return bool(self.rows) and all(row[-1] == "met" for row in self.rows)

    def text(self) -> str:
        """The table, how to read it, and the remarks."""
        remarks = [f"{each.id}: {remark}" for each in self.results for remark in each.remarks]
        return "\n".join([table.text_table(self.rows), "", table.HOW_TO_READ, *remarks])


def run(measures: Iterable[Measure], options: Options, command: str) -> Report:
    """Take the measurements. One that cannot be taken is a row that says so, and never a figure."""
    warning = machine.load_warning()
    if warning is not None:
        say(f"warning: {warning}")
    report = Report([], [])
    for each in measures:
        ids = ", ".join(goal.id for goal in each.GOALS)
        say(f"measuring {ids} ...")
        try:
            outcomes = each.measure(options)
        except (CannotMeasureError, LoadError, ServerError) as error:
            say(f"error: {ids} not measured: {error}")
            report.rows.extend(table.not_measured(goal) for goal in each.GOALS)
            continue
        new = _results(outcomes, command, [] if warning is None else [warning])
        report.results.extend(new)
        report.rows.extend(table.row(result) for result in new)
    return report


def keep(path: Path, new: Sequence[Result]) -> None:
    """Put ``new`` results into the file; those of goals that were not measured now stay as they are."""
    try:
        old = results.read(path)
    except results.ResultsError:
        old = []
    results.write(path, results.merged(old, new, GOAL_IDS))


def say(text: str) -> None:
    """A message: data goes to standard output, the rest here."""
    print(text, file=sys.stderr, flush=True)


def _results(outcomes: Iterable[results.Outcome], command: str, remarks: list[str]) -> list[Result]:
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        results.result(outcome, remarks, versions=versions(), machine=machine.description(), date=date, command=command)
        for outcome in outcomes
    ]
