"""Print the coverage of each area against its floor, after `make test` has run the whole suite.

The floors live here and nowhere else. A floor counts lines and branches together; where one is missed, the
lines that no test reached are named.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import coverage
import msgspec
from coverage.exceptions import NoDataError, NoSource

FILES_SHOWN = 20


class Area(NamedTuple):
    """A part of the source tree and the least percentage of it that tests must reach."""

    name: str
    include: tuple[str, ...]
    omit: tuple[str, ...]
    floor_percent: float


AREAS = (
    Area("gate", ("src/aitbc_server/gate/*",), (), 100),
    Area("key format", ("src/aitbc/keyformat.py",), (), 100),
    Area("SDK", ("src/aitbc/*",), ("src/aitbc/cli/*",), 100),
    Area("everything", ("src/*",), (), 95),
)


class Totals(msgspec.Struct):
    """What coverage.py's JSON report says of one area or file."""

    num_statements: int
    covered_lines: int
    num_branches: int = 0
    covered_branches: int = 0


class FileReport(msgspec.Struct):
    """What coverage.py's JSON report says of one file: the lines and branches that no test reached."""

    missing_lines: list[int]
    missing_branches: list[tuple[int, int]] = []


class Report(msgspec.Struct):
    """The parts of coverage.py's JSON report that are read here."""

    totals: Totals
    files: dict[str, FileReport]


def main() -> int:
    """Print the table. Returns 1 where a floor is missed, else 0."""
    print(f"\n{'coverage':<12} {'lines':>13} {'branches':>13} {'percent':>8} {'floor':>6}")
    passed = [judge(area) for area in AREAS]
    return 0 if all(passed) else 1


def judge(area: Area) -> bool:
    """Print an area's row, and what is missing where it is below its floor. Returns whether it is not."""
    report = measure(area)
    if report is None:
        print(f"{area.name:<12} {'no file measured':>27}")
        return False
    totals = report.totals
    percent = percent_of(totals)
    lines = f"{totals.covered_lines}/{totals.num_statements}"
    branches = f"{totals.covered_branches}/{totals.num_branches}"
    reached = percent >= area.floor_percent
    mark = "" if reached else "  missed"
    # Cut, not rounded: 99.96 must not read as 100.
    shown = int(percent * 10) / 10
    print(f"{area.name:<12} {lines:>13} {branches:>13} {shown:>8} {area.floor_percent:>6}{mark}")
    if not reached:
        print_missing(report)
    return reached


def measure(area: Area) -> Report | None:
    """Read the area's figures from the run's data file; None where no file of it was measured."""
    data = coverage.Coverage()
    data.load()
    with tempfile.TemporaryDirectory() as folder:
        outfile = Path(folder) / "coverage.json"
        try:
            data.json_report(include=list(area.include), omit=list(area.omit), outfile=str(outfile))
        except (NoDataError, NoSource):
            return None
        return msgspec.json.decode(outfile.read_bytes(), type=Report)


def percent_of(totals: Totals) -> float:
    """The share of lines and branches that were reached; an empty area is whole."""
    count = totals.num_statements + totals.num_branches
    return 100 * (totals.covered_lines + totals.covered_branches) / count if count else 100.0


def print_missing(report: Report) -> None:
    """Name the lines and branches that no test reached: a line for each of the first files."""
    texts = {path: missing_places(file) for path, file in sorted(report.files.items())}
    texts = {path: text for path, text in texts.items() if text}
    for path, text in list(texts.items())[:FILES_SHOWN]:
        print(f"    {path}: {text}")
    if len(texts) > FILES_SHOWN:
        print(f"    and {len(texts) - FILES_SHOWN} more; all: .venv/bin/python -m coverage report -m")


def missing_places(file: FileReport) -> str:
    """Lines as ranges, then the branches that leave a line which was reached: `3-5, 9, 12->exit`."""
    lines = set(file.missing_lines)
    ranges: list[list[int]] = []
    for line in sorted(lines):
        if ranges and line == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], line]
        else:
            ranges.append([line])
    places = ["-".join(map(str, ends)) for ends in ranges]
    branches = [(start, end) for start, end in file.missing_branches if start not in lines]
    places += [f"{start}->{end if end > 0 else 'exit'}" for start, end in branches]
    return ", ".join(places)


if __name__ == "__main__":
    sys.exit(main())
