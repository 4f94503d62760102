"""Files and functions stay small enough to be read in one go; CONTRIBUTING.md names the limits."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "tests", "bench", "tools")
FILE_LINES = 600
FUNCTION_LINES = 70


def python_files() -> Iterator[Path]:
    """Every Python file of the product, its tests, its benchmarks and its tools."""
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def long_functions(source: str) -> list[tuple[str, int]]:
    """Name and length of each function above the limit, decorators and docstring included."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            length = (node.end_lineno or first) - first + 1
            if length > FUNCTION_LINES:
                found.append((node.name, length))
    return found


def test_no_file_is_too_long() -> None:
    """No file has more than 600 lines: split by concept."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert lengths
    assert not [f"{path.relative_to(ROOT)}: {n} lines" for path, n in lengths.items() if n > FILE_LINES]


def test_no_function_is_too_long() -> None:
    """No function has more than 70 lines: name its steps."""
    offenders = [
        f"{path.relative_to(ROOT)}: {name} has {length} lines"
        for path in python_files()
        for name, length in long_functions(path.read_text(encoding="utf-8"))
    ]
    assert not offenders


def test_the_measure_sees_a_long_function() -> None:
    """71 lines are found, in a method and in a coroutine too; 70 are not."""
    body = "\n".join(["        pass"] * 69)
    assert long_functions(f"class A:\n    def short(self):\n{body}") == []
    assert long_functions(f"class A:\n    async def long(self):\n{body}\n        pass") == [("long", 71)]
    assert long_functions(f"class A:\n    @property\n    def long(self):\n{body}") == [("long", 71)]
