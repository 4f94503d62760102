"""What a person types in a fresh clone, and what CI types, is the same and works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERBS = ("run", "test", "lint", "bench", "docs")


def clean_environment(**settings: str) -> dict[str, str]:
    """The environment without what an outer `make test` hands to an inner make."""
    outer = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ARGS", "FULL"}
    return {name: value for name, value in os.environ.items() if name not in outer} | settings


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in the checkout."""
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False
    )


def test_make_alone_lists_the_five_verbs() -> None:
    """`make` says what can be typed: a line for each verb, and nothing else."""
    done = make()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert tuple(line.split()[1] for line in lines) == VERBS
    assert all(line.startswith("make ") for line in lines)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_installs_what_it_needs(verb: str) -> None:
    """Every verb can be the first one typed in a fresh clone."""
    done = make("--dry-run", verb)
    assert done.returncode == 0, done.stderr
    level = "server" if verb == "run" else "dev"
    assert done.stdout.startswith(f"sh tools/bootstrap.sh {level}")


def test_arguments_reach_the_program() -> None:
    """ARGS goes through to the program, and FULL=1 asks for the full counts."""
    assert "aitbc dev --end-with $PPID --port 9000" in make("--dry-run", "run", "ARGS=--port 9000").stdout
    part = make("--dry-run", "test", "ARGS=tests/gate -x").stdout
    assert "pytest tests/gate -x" in part
    assert "coverage" not in part
    assert "AITBC_FULL" not in make("--dry-run", "test").stdout
    assert "AITBC_FULL=1 PYTEST_TIMEOUT=0 .venv/bin/python -m pytest" in make("--dry-run", "test", "FULL=1").stdout


def test_ci_runs_what_people_run() -> None:
    """CI calls the same verbs, from the checkout's root, whatever folder it is called in."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^(exec )?make test$", script, re.MULTILINE)
    assert set(re.findall(r"\bmake (\w+)", script)) <= set(VERBS)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_lock_fits_the_package() -> None:
    """`uv.lock` is what pyproject.toml asks for, and names the public index only."""
    hosts = set(re.findall(r"https?://[^/\"]+", (ROOT / "uv.lock").read_text(encoding="utf-8")))
    assert hosts == {"https://pypi.org", "https://files.pythonhosted.org"}
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    done = subprocess.run(
        [uv, "lock", "--check", "--offline", "--python", sys.executable],
        cwd=ROOT,
        env=clean_environment(UV_NO_CACHE="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}\nhint: run `uv lock` and commit uv.lock"


def test_other_projects_can_use_the_scan_hook() -> None:
    """The hook scans what is about to be committed, once, with this package."""
    text = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    fields = dict(re.findall(r"^[- ] (\w+): (.+)$", text, re.MULTILINE))
    assert fields["id"] == "aitbc-scan"
    assert fields["entry"] == "aitbc scan --staged"
    assert fields["language"] == "python"
    assert fields["pass_filenames"] == "false"


def test_the_documentation_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """Every link leads somewhere, and no page asks another host for a script, style or font."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env=clean_environment(NO_MKDOCS_2_WARNING="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert pages
    foreign = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
    for page in pages:
        assert not foreign.findall(page.read_text(encoding="utf-8")), page.relative_to(tmp_path)
