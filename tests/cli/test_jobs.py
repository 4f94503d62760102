"""``aitbc jobs``: from what a newcomer types to a result on standard output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Cli
from tests.sdk.samples import JOB, RECEIPT, job, problem
from tests.sdk.scripted import Answer, ScriptedServer

from aitbc.cli import jobs as jobs_module
from aitbc.cli import usage as usage_module
from aitbc.cli.api_keys import STATUSES
from aitbc.schemas.api_keys import KeyStatus
from aitbc.schemas.jobs import JobState
from aitbc.schemas.usage import Granularity, GroupBy

SHORT = {"name": "image-classification", "type": "ai-inference", "model": {"type": "python", "entrypoint": "model.py"}}


def result(state: str = "COMPLETED", **changes: Any) -> dict[str, Any]:
    """A job's result on the wire."""
    return {
        "job_id": "job_1",
        "state": state,
        "result": {"words": 6},
        "error": None,
        "receipt": RECEIPT,
        **changes,
    }


@pytest.mark.parametrize(
    ("args", "sent"),
    [
        (["--type", "text-statistics", "--text", "to be"], {"payload": {"type": "text-statistics", "text": "to be"}}),
        ([json.dumps(SHORT)], {"payload": SHORT}),
        ([json.dumps({"payload": SHORT, "ttl_seconds": 5})], {"payload": SHORT, "ttl_seconds": 5}),
        ([json.dumps(SHORT), "--name", "other"], {"payload": {**SHORT, "name": "other"}}),
        (
            ["--prompt", "Hi", "--model", "m", "--ttl", "1h"],
            {"payload": {"prompt": "Hi", "model": "m"}, "ttl_seconds": 3600},
        ),
        (
            ["--type", "t", "--set", "n=5", "--set", 'b={"c": [1]}', "--set", "s=plain text", "--set", "e="],
            {"payload": {"type": "t", "n": 5, "b": {"c": [1]}, "s": "plain text", "e": ""}},
        ),
        (
            [
                "--type",
                "t",
                "--gpu",
                "A100",
                "--cuda",
                "12",
                "--min-vram-gb",
                "8",
                "--require-model",
                "m",
                "--region",
                "eu",
            ],
            {
                "payload": {"type": "t"},
                "constraints": {"gpu": "A100", "cuda": "12", "min_vram_gb": 8.0, "models": ["m"], "region": "eu"},
            },
        ),
        (
            ['{"payload": {"a": 1}, "constraints": {"gpu": "A100"}}', "--max-price", "2"],
            {"payload": {"a": 1}, "constraints": {"gpu": "A100", "max_price": 2.0}},
        ),
    ],
)
def test_submit_sends_what_is_meant(args: list[str], sent: dict[str, Any], cli: Cli, server: ScriptedServer) -> None:
    """Options, JSON text, both; the id alone is standard output."""
    server.answers(Answer(JOB, 201))
    ran = cli("jobs", "submit", *args)
    assert (ran.code, ran.out) == (0, "job_1\n")
    assert server.last.json == sent


def test_submit_takes_files_and_standard_input(cli: Cli, server: ScriptedServer, tmp_path: Path) -> None:
    """A job from a file or -, a text from a file or -, also with the mark that Windows puts before UTF-8."""
    server.answers(*[Answer(JOB, 201)] * 4)
    file = tmp_path / "job.json"
    file.write_text(json.dumps(SHORT), encoding="utf-8-sig")
    text = tmp_path / "text.txt"
    text.write_text("mañana", encoding="utf-8")
    cli("jobs", "submit", str(file))
    cli("jobs", "submit", "-", stdin=json.dumps(SHORT))
    cli("jobs", "submit", "--type", "t", "--text-file", str(text))
    assert cli("jobs", "submit", "--type", "t", "--text-file", "-", "--output", "json", stdin="hello\n").json == JOB
    assert [request.json["payload"] for request in server.requests] == [
        SHORT,
        SHORT,
        {"type": "t", "text": "mañana"},
        {"type": "t", "text": "hello\n"},
    ]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([], "there is no job"),
        (["nosuchfile.json"], "cannot read nosuchfile.json: No such file"),
        (["."], "cannot read .: Is a directory"),
        (["{'single': 'quotes'}"], "the argument does not hold a job as JSON"),
        (["[1]"], "not an object"),
        (["-"], "standard input does not hold a job as JSON"),
        (['{"a": NaN}'], "NaN is not JSON"),
        (["{" * 100_000], "the argument does not hold"),
        (['{"payload": 1}', "--name", "x"], "payload must be a JSON object"),
        (['{"payload": {}, "constraints": []}', "--gpu", "x", "--name", "x"], None),
        (["--text", "a", "--text-file", "-"], "exclude each other"),
        (["--set", "a"], "--set NAME=VALUE"),
        (["--set", "=a"], "--set NAME=VALUE"),
        (["--type", "t", "--timeout", "5s"], "--timeout is for --wait"),
        (["--type", "t", "--ttl", "soon"], "'soon' is no duration"),
    ],
)
def test_what_cannot_be_a_job_is_a_usage_error(
    args: list[str], told: str | None, cli: Cli, server: ScriptedServer
) -> None:
    """Exit 2 and what is wrong, before anything is sent."""
    if told is None:
        server.answers(Answer(JOB, 201))
        assert cli("jobs", "submit", *args).code == 0
        return
    ran = cli("jobs", "submit", *args)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert not server.requests


def test_a_file_that_is_too_large_or_no_text(cli: Cli, server: ScriptedServer, tmp_path: Path) -> None:
    """Told before it is sent."""
    (tmp_path / "large").write_bytes(b" " * (1 << 20) + b"{}")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "larger than 1 MiB" in cli("jobs", "submit", str(tmp_path / "large")).err
    assert "is not UTF-8 text" in cli("jobs", "submit", str(tmp_path / "binary")).err


def test_submit_and_wait_prints_the_result(cli: Cli, server: ScriptedServer) -> None:
    """Progress as plain lines on standard error, where that is no terminal; the result alone on standard output."""
    server.answers(
        Answer(JOB, 201),
        Answer(JOB),
        Answer(job(state="RUNNING", assigned_miner_id="rig-1")),
        Answer(job(state="COMPLETED", assigned_miner_id="rig-1")),
        Answer(result()),
    )
    ran = cli("jobs", "submit", "--type", "t", "--wait", "--idempotency-key", "i-1")
    assert ran.code == 0
    assert ran.json == {"words": 6}
    assert ran.err.splitlines() == [
        "Submitted job_1.",
        "job_1 QUEUED",
        "job_1 RUNNING on rig-1",
        "job_1 COMPLETED on rig-1",
    ]
    assert server.requests[0].headers["idempotency-key"] == "i-1"


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "EXPIRED"])
def test_a_job_that_did_not_complete_is_exit_1_with_its_error(state: str, cli: Cli, server: ScriptedServer) -> None:
    """For wait and for result; JSON still gets the API's object."""
    failed = result(state, result=None, receipt=None, error="unsupported_job_type: no")
    server.answers(Answer(job(state=state)), Answer(failed), Answer(failed), Answer(failed))
    ran = cli("jobs", "wait", "job_1")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[-1] == f"error: job job_1 {state}: unsupported_job_type: no"
    assert cli("jobs", "result", "job_1").code == 1
    ran = cli("jobs", "result", "job_1", "--output", "json")
    assert (ran.code, ran.json) == (1, failed)


def test_waiting_survives_a_limit_and_a_lost_answer(cli: Cli, server: ScriptedServer) -> None:
    """The job goes on meanwhile: a call that fails for a moment is tried again."""
    server.answers(
        Answer(problem(429, "rate_limit_exceeded"), 429, {"Retry-After": "0"}),
        Answer(job(state="COMPLETED")),
        Answer(result()),
    )
    assert cli("jobs", "wait", "job_1").json == {"words": 6}


def test_a_wait_that_ends_too_early_says_that_the_job_goes_on(cli: Cli, server: ScriptedServer) -> None:
    """Exit 1, and how to wait again; 0s means that it looks once."""
    server.answers(*[Answer(JOB)] * 9)
    assert cli("jobs", "wait", "job_1", "--timeout", "0s").code == 1
    assert len(server.requests) == 1
    ran = cli("jobs", "wait", "job_1", "--timeout", "1s")
    assert ran.code == 1
    assert "still QUEUED" in ran.err
    assert "`aitbc jobs wait job_1` waits for it again" in ran.err


def test_a_result_that_is_not_there_yet_can_be_waited_for(cli: Cli, server: ScriptedServer) -> None:
    """The hint is a command to paste."""
    server.answers(Answer(problem(425, "not_ready"), 425))
    assert cli("jobs", "result", "job_1").err.endswith("hint: `aitbc jobs wait job_1` waits for it\n")


def test_list_get_and_cancel(cli: Cli, server: ScriptedServer) -> None:
    """Tables for people, objects for programs."""
    failed = job(state="FAILED", error="first line\nsecond", assigned_miner_id="rig-1")
    page = Answer({"items": [failed, JOB], "next_cursor": None})
    server.answers(page, page, Answer({"items": [], "next_cursor": None}))
    ran = cli("jobs", "list", "--state", "failed", "--after", "24h", "--before", "2026-11-24T08:00:00Z", "--limit", "2")
    assert server.last.query == {
        "state": "FAILED",
        "created_after": "2026-11-23T08:00:00.000Z",
        "created_before": "2026-11-24T08:00:00.000Z",
        "limit": "2",
    }
    assert ran.out.splitlines()[1].split() == ["job_1", "FAILED", "rig-1", "2h", "ago", "first", "line"]
    assert ran.err == "the newest 2 are shown; --limit shows more\n"
    assert cli("jobs", "list", "--output", "json").json == [failed, JOB]
    assert cli("jobs", "list").err == "no jobs\n"
    server.answers(Answer(failed), Answer(failed), Answer(job(state="CANCELED")), Answer(JOB))
    assert "State      FAILED" in cli("jobs", "get", "job_1").out
    assert cli("jobs", "get", "job_1", "--output", "json").json == failed
    assert cli("jobs", "cancel", "job_1").err == "Canceled job_1.\n"
    assert cli("jobs", "cancel", "job_1", "--output", "json").json == JOB


def test_a_limit_stops_asking_for_pages(cli: Cli, server: ScriptedServer) -> None:
    """A list of a million jobs is not fetched to show the first."""
    server.answers(Answer({"items": [JOB, JOB], "next_cursor": "more"}))
    assert len(cli("jobs", "list", "--limit", "1", "--output", "json").json) == 1
    assert len(server.requests) == 1


def test_the_choices_are_those_of_the_wire() -> None:
    """They are written out in the CLI, so that its help needs none of the wire types."""
    assert tuple(JobState) == jobs_module.STATES
    assert tuple(KeyStatus) == STATUSES
    assert tuple(Granularity) == usage_module.GRANULARITIES
    assert tuple(GroupBy) == usage_module.GROUPINGS
