"""The floors of coverage: each area is judged on its own, and a missed one is named with its lines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tools import coverage_gate

ROOT = Path(__file__).parents[2]

HALF_TESTED = """
def branch(flag):
    if flag:
        return 1
    return 2

branch(True)
"""


def measured(folder: Path, files: dict[str, str]) -> None:
    """Write the files, run them all under coverage, and leave the data file in the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    runner = folder / "run.py"
    runner.write_text(f"import runpy\nfor name in {list(files)!r}: runpy.run_path(name)\n", encoding="utf-8")
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-m", "coverage", "run", "--branch", "--include=src/*", "run.py"]
    subprocess.run(command, cwd=folder, env=quiet, check=True)


@pytest.fixture
def tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_tree_that_is_tested_whole_passes(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every area at its floor: exit code 0, a row each."""
    measured(tree, {"src/aitbc_server/gate/decision.py": "ALLOW = 1\n", "src/aitbc/keyformat.py": "A = 1\n"})
    assert coverage_gate.main() == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split("  ")[0] for row in rows[2:]] == [area.name for area in coverage_gate.AREAS]


def test_a_branch_that_no_test_takes_fails_and_is_named(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One untaken branch of the gate is below 100 %, and the line says where it is."""
    measured(tree, {"src/aitbc_server/gate/decision.py": HALF_TESTED, "src/aitbc/keyformat.py": "A = 1\n"})
    assert coverage_gate.main() == 1
    out = capsys.readouterr().out
    assert "missed" in out
    assert "src/aitbc_server/gate/decision.py: 5, 3->5" in out


def test_an_area_without_files_is_missed(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A package that was renamed does not leave its floor behind unnoticed."""
    measured(tree, {"src/aitbc/keyformat.py": "A = 1\n"})
    assert coverage_gate.main() == 1
    assert "no file measured" in capsys.readouterr().out


def test_missing_places_are_short() -> None:
    """Lines in a row are one range; a branch out of a line that nothing reached adds nothing."""
    file = coverage_gate.FileReport([3, 4, 5, 9], [(3, 5), (12, -1), (12, 14)])
    assert coverage_gate.missing_places(file) == "3-5, 9, 12->exit, 12->14"


def test_every_area_is_there() -> None:
    """Each pattern of the table matches files of this tree."""
    for area in coverage_gate.AREAS:
        assert any(any(ROOT.glob(pattern)) for pattern in area.include), area.name
