"""Every mechanism of a fleet is needed: with any one switched off, the test that holds its promise fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fleet import switched_off

FULL = os.environ.get("AITBC_FULL") == "1"
AWAY = "test_store_away.py::test_nodes_go_on_while_the_store_is_away"
CHANGES = "test_changes.py::test_a"
#: What is switched off, the test that must notice, and words of what it says then.
NEEDED = [
    ("eviction", "test_limits.py", "judging.over"),
    ("admission", "test_limits.py", "judging.undue"),
    ("last_look", "test_limits.py", "alone"),
    ("draining", "test_limits.py", "judging.counted"),
    ("fences", f"{CHANGES}_change_is_in_effect_everywhere_once_it_is_answered", "allowed"),
    ("outbox", f"{CHANGES}_node_that_dies_between_commit_and_fence_leaves_nothing_half_done", "TimeoutError"),
    ("fresh_reads", f"{CHANGES}_node_that_is_cut_off_from_the_store_keeps_the_promise", "allowed"),
    ("deadlines", f"{AWAY}[hung]", "first.remaining"),
    ("timeouts", f"{AWAY}[hung]", "after_s < before_s"),
    ("own_limits", f"{AWAY}[killed]", "judging.over"),
    ("sweeping", "test_jobs_survive.py", "TimeoutError"),
]


@pytest.mark.skipif(not FULL, reason="each runs a whole test once more: with AITBC_FULL=1")
@pytest.mark.parametrize(("mechanism", "test", "words"), NEEDED, ids=[each[0] for each in NEEDED])
def test_what_holds_a_promise_fails_without_its_mechanism(
    mechanism: str, test: str, words: str, tmp_path: Path
) -> None:
    """In its quick form, in a run of its own."""
    surroundings = {name: value for name, value in os.environ.items() if name != "AITBC_FULL"}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--basetemp={tmp_path / 'run'}", f"tests/fleet/{test}"],
        env=surroundings | {switched_off.VARIABLE: mechanism},
        capture_output=True,
        check=False,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert ran.returncode == 1, ran.stdout
    assert words in ran.stdout
