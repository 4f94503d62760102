"""Every mechanism of a fleet is needed: with any one switched off, the test that holds its promise fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fleet import switched_off

FULL = os.environ.get("AITBC_FULL") == "1"
PYTEST = ["-m", "pytest", "-q", "-p", switched_off.__name__]
FLEET = "fleet/test_"
AWAY = f"{FLEET}store_away.py::test_nodes_go_on_while_the_store_is_away"
CHANGES = f"{FLEET}changes.py::test_a"
COUNTS = f"{FLEET}counts.py::test_nothing_that_was_answered_goes_uncounted"
DEATHS = f"{FLEET}deaths.py::test_a"
ORACLE = "gate/test_store.py::test_randomised_checks_agree_with_the_oracle"
BACK = "valkey/test_store_comes_back.py::test_a"
#: What is switched off, the test that must notice, and words of what it says then.
NEEDED = [
    # A1
    ("one_too_many", f"{ORACLE}[valkey-0]", "allowed: True != False"),
    ("one_too_few", f"{ORACLE}[valkey-0]", "allowed: False != True"),
    ("one_too_many_in_memory", f"{ORACLE}[memory-0]", "allowed: True != False"),
    # A2
    ("eviction", f"{FLEET}limits.py", "judging.over"),
    ("admission", f"{FLEET}limits.py", "judging.undue"),
    ("last_look", f"{FLEET}limits.py", "alone"),
    # A3
    ("fences", f"{CHANGES}_change_is_in_effect_everywhere_once_it_is_answered", "allowed"),
    ("fences", f"{DEATHS}_node_that_dies_between_fence_and_answer_has_made_the_change", "allowed"),
    ("outbox", f"{CHANGES}_node_that_dies_between_commit_and_fence_leaves_nothing_half_done", "TimeoutError"),
    ("fresh_reads", f"{CHANGES}_node_that_is_cut_off_from_the_store_keeps_the_promise", "allowed"),
    ("unconfirmed", f"{CHANGES}_node_that_is_cut_off_from_the_store_keeps_the_promise", "(202, "),
    ("unconfirmed", f"{DEATHS}_store_that_dies_between_commit_and_fence_is_said", "(202, False)"),
    ("replicas", f"{DEATHS}_replica_that_does_not_get_the_fence_is_said", "(202, False)"),
    ("feed", f"{DEATHS}_store_that_was_put_back_by_hand_is_believed_for_a_moment_at_most", "TimeoutError"),
    ("connections", f"{BACK}_store_that_was_restarted_is_not_believed[older]", "{None}"),
    ("connections", f"{BACK}_master_of_a_cluster_that_was_restarted_is_not_believed", "{None}"),
    ("questions", f"{BACK}_question_is_not_sent_on_a_connection_that_came_after_it", "{None}"),
    ("missing_fences", f"{BACK}_store_that_was_emptied_is_not_believed", "left set:\nE             None"),
    ("tickets", "gate/test_shared_gate.py::test_a_record_that_was_read_before_a_drop_is_not_asked_about", "None is "),
    # A4
    ("draining", f"{FLEET}limits.py", "judging.counted"),
    ("draining", f"{COUNTS}[SIGKILL]", "AssertionError: (Counter("),
    (
        "counts_of_the_dead",
        f"{COUNTS}[SIGKILL]",
        "AssertionError: (Counter(",
    ),
    # A5
    ("deadlines", f"{AWAY}[hung]", "first.remaining"),
    ("timeouts", f"{AWAY}[hung]", "after_s < before_s"),
    ("own_limits", f"{AWAY}[killed]", "judging.over"),
    # A6
    ("cached_keys", f"{FLEET}database_away.py", "503"),
    ("lookups", f"{FLEET}database_away.py", "invalid_api_key"),
    # A7
    ("sweeping", f"{FLEET}jobs_survive.py", "TimeoutError"),
    ("idempotency", f"{FLEET}jobs_survive.py", "a job was made twice"),
]


@pytest.mark.skipif(not FULL, reason="each runs a whole test once more: with AITBC_FULL=1")
@pytest.mark.parametrize(("mechanism", "test", "words"), NEEDED, ids=[each[0] for each in NEEDED])
def test_what_holds_a_promise_fails_without_its_mechanism(
    mechanism: str, test: str, words: str, tmp_path: Path
) -> None:
    """In its quick form, in a run of its own."""
    surroundings = {name: value for name, value in os.environ.items() if name != "AITBC_FULL"}
    ran = subprocess.run(
        [sys.executable, *PYTEST, f"--basetemp={tmp_path / 'run'}", f"tests/{test}"],
        env=surroundings | {switched_off.VARIABLE: mechanism},
        capture_output=True,
        check=False,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert ran.returncode == 1, ran.stdout
    # The statement that failed, and why.
    assert words in "\n".join(line for line in ran.stdout.splitlines() if line.startswith((">", "E "))), ran.stdout
