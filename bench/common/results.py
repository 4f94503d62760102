"""bench/results.json: one row for each goal, with all that is needed to doubt it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from bench.common.goals import Goal, Unit

SCHEMA: Final = 1

Round = dict[str, Any]


class Outcome(msgspec.Struct, frozen=True):
    """What one measurement found: a goal's value, the raw rounds it came from, and remarks for its reader.

    ``versions`` are those of what took part besides ourselves.
    """

    goal: Goal
    value: float
    rounds: list[Round]
    remarks: list[str] = []
    versions: dict[str, str] = {}

    def and_also(self, versions: Mapping[str, str], remarks: Sequence[str] = ()) -> Outcome:
        """The same with more versions, and more remarks behind its own."""
        return msgspec.structs.replace(self, versions={**self.versions, **versions}, remarks=[*self.remarks, *remarks])


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the file. ``date`` is UTC; ``versions`` are those of everything that took part."""

    id: str
    what: str
    goal: str
    value: float
    unit: Unit
    passed: bool
    rounds: list[Round]
    remarks: list[str]
    versions: dict[str, str]
    machine: str
    date: str
    command: str


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    schema: Literal[1]
    results: list[Result]


class ResultsError(Exception):
    """The file is missing or is not one of ours; the text says which and what to do."""


def result(
    outcome: Outcome, remarks: Sequence[str], *, versions: dict[str, str], machine: str, date: str, command: str
) -> Result:
    """The row for an outcome: its value is rounded away from the goal, then judged; ``remarks`` come after its own."""
    goal = outcome.goal
    value = goal.rounded(outcome.value)
    return Result(
        id=goal.id,
        what=goal.what,
        goal=goal.text(),
        value=value,
        unit=goal.unit,
        passed=goal.is_met(value),
        rounds=outcome.rounds,
        remarks=[*outcome.remarks, *remarks],
        versions={**versions, **outcome.versions},
        machine=machine,
        date=date,
        command=command,
    )


def merged(old: Iterable[Result], new: Iterable[Result], order: Sequence[str]) -> list[Result]:
    """``new`` rows in place of ``old`` ones of the same goal, in ``order``; rows of unknown goals are dropped."""
    rows = {row.id: row for row in [*old, *new]}
    return [rows[goal_id] for goal_id in order if goal_id in rows]


def read(path: Path) -> list[Result]:
    """The rows of a file. Raises ResultsError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Results).results
    except FileNotFoundError:
        raise ResultsError(f"{path} is missing: run `make bench`") from None
    except msgspec.DecodeError as error:
        raise ResultsError(f"{path} is not a results file of schema {SCHEMA} ({error}): run `make bench`") from error


def write(path: Path, results: list[Result]) -> None:
    """Replace the file, whole or not at all."""
    text = msgspec.json.format(msgspec.json.encode(Results(schema=SCHEMA, results=results)), indent=1)
    beside = path.with_suffix(".tmp")
    beside.write_bytes(text + b"\n")
    beside.replace(path)
