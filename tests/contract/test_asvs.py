"""S7: every row of OWASP ASVS 5.0 that bears on this product has tests that say so, or a written reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.contract.asvs_rows import ROWS

TESTS = Path(__file__).parents[1]

_ROW = r"\d+\.\d+\.\d+"
_NAMED = re.compile(rf"ASVS ({_ROW}(?:(?:, | and | to ){_ROW})*)")


def rows_in(text: str) -> Iterator[str]:
    """Every row that a docstring names: ``ASVS 8.2.1, 8.2.2``, or ``ASVS 3.4.3 to 3.4.6``."""
    for named in _NAMED.finditer(text):
        for first, last in re.findall(rf"({_ROW})(?: to ({_ROW}))?", named[1]):
            chapter, _, number = first.rpartition(".")
            end = int(last.rpartition(".")[2]) if last else int(number)
            yield from (f"{chapter}.{each}" for each in range(int(number), end + 1))


@cache
def named_rows(path: Path) -> dict[str, set[str]]:
    """The rows that each test of a file names; what the file itself names counts for all of its tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    common = set(rows_in(ast.get_docstring(tree) or ""))
    return {
        node.name: common | set(rows_in(ast.get_docstring(node) or ""))
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def is_a_reason(shown: str) -> bool:
    return " " in shown


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_its_tests_or_a_reason(row: str) -> None:
    """S7: each named test is in the tree, and its docstring names the row; a reason stands alone."""
    shown_by = ROWS[row]
    assert shown_by
    if any(is_a_reason(shown) for shown in shown_by):
        assert len(shown_by) == 1
        return
    for shown in shown_by:
        file, _, test = shown.partition("::")
        assert test in named_rows(TESTS / file), f"{shown} is not there"
        assert row in named_rows(TESTS / file)[test], f"{shown} does not name ASVS {row}"


def test_no_test_names_a_row_that_is_not_in_the_list() -> None:
    """A row in a docstring is one of the list's: a slip of the pen would show nothing to nobody."""
    unknown = {
        f"{path.relative_to(TESTS)}::{test}": rows - ROWS.keys() - BESIDE
        for path in sorted(TESTS.rglob("test_*.py"))
        for test, rows in named_rows(path).items()
        if rows - ROWS.keys() - BESIDE
    }
    assert not unknown


# Of interest to single tests, and not in the list.
BESIDE = {"1.3.4", "1.5.3", "4.2.1", "14.3.1"}


def test_a_row_with_tests_has_no_reason_left_over() -> None:
    """Where a test has come to name a row, its reason for having none is out of date."""
    shown = {row for path in TESTS.rglob("test_*.py") for rows in named_rows(path).values() for row in rows}
    assert not [row for row, shown_by in ROWS.items() if is_a_reason(shown_by[0]) and row in shown]


def test_docstrings_are_read_as_people_read_them() -> None:
    """Lists, "and", and ranges."""
    assert list(rows_in("S1, ASVS 8.2.1, 8.2.2 and 9.2.2: text. ASVS 3.4.3 to 3.4.5, 14.3.2.")) == [
        *("8.2.1", "8.2.2", "9.2.2"),
        *("3.4.3", "3.4.4", "3.4.5", "14.3.2"),
    ]
    assert list(rows_in("version 8.2.1")) == []
