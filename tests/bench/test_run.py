"""``python -m bench`` as it is typed, with tiny parameters."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bench.common import results

ROOT = Path(__file__).parents[2]


def bench(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run it in the repository."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk")
def test_two_servers_are_measured_side_by_side(tmp_path: Path) -> None:
    """Both servers start, every key is answered 2xx, the figure is the ratio of what wrk counted, and all is kept."""
    output = tmp_path / "results.json"
    done = bench("P1", "--seconds", "1", "--rounds", "1", "--warm-up", "1", "--tenants", "20", "--output", str(output))
    assert done.returncode in {0, 1}, done.stderr
    assert "not measured" not in done.stdout, done.stderr
    (row,) = results.read(output)
    subject, base = row.rounds
    assert (subject["system"], base["system"]) == ("aitbc", "bare ASGI")
    assert subject["requests"] > 0
    assert row.value == pytest.approx(subject["requests_per_s"] / base["requests_per_s"], abs=0.002)
    assert row.versions["wrk"]
    assert row.command.startswith("python -m bench P1")


def test_programs_are_timed(tmp_path: Path) -> None:
    """P9 needs neither wrk nor a second core; the table goes to standard output, messages do not."""
    output = tmp_path / "results.json"
    done = bench("--only", "P9", "--starts", "1", "--output", str(output))
    assert [row.id for row in results.read(output)] == ["P9", "P9b"]
    assert done.stdout.startswith("id ")
    assert "measuring P9, P9b" in done.stderr


def test_a_missing_generator_is_reported_and_never_guessed(tmp_path: Path) -> None:
    """Without wrk there is no figure, a hint, exit 1, and what the file held stays."""
    output = tmp_path / "results.json"
    done = bench("--only", "P1,P5", "--output", str(output), PATH=str(tmp_path))
    assert done.returncode == 1
    assert "apt-get install wrk" in done.stderr or "core" in done.stderr
    assert done.stdout.count("not measured") == 2
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "P77"], "no goal P77: choose from P1"),
        (["P1", "P77"], "no goal P77: choose from P1"),
        (["--peers", "kong"], "no peer kong: choose from nginx"),
        (["--rounds", "0"], "'0' is not a whole number of 1 or more"),
        (["--seconds", "soon"], "'soon' is not a whole number"),
        (["--output", "no/such/folder/results.json"], "there is no folder no/such/folder"),
    ],
)
def test_what_is_not_understood_is_named(arguments: list[str], said: str) -> None:
    """A mistyped option is one clear line and exit 2, before anything is measured."""
    done = bench(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "measuring" not in done.stderr
