"""``aitbc miners``: the list, registering, and a real miner as a process."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.cli.conftest import Cli, environment
from tests.sdk.samples import MINER, problem
from tests.sdk.scripted import Answer, ScriptedServer
from tests.worker.marketplace import Marketplace, marketplace

from aitbc.cli.miner_run import host_miner_id

TEXT = {"type": "text-statistics", "text": "To be or not to be."}

StartMiner = Callable[..., AbstractContextManager["subprocess.Popen[str]"]]


@pytest.fixture
def market() -> Iterator[Marketplace]:
    """A fresh market."""
    with marketplace() as running:
        yield running


@pytest.fixture
def start(market: Marketplace) -> StartMiner:
    """`aitbc miners run` as a process that is told to stop when the block is left."""

    @contextmanager
    def run(*args: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
        child = subprocess.Popen(
            [sys.executable, "-m", "aitbc.cli", "miners", "run", *args],
            env=environment(AITBC_BASE_URL=market.url, AITBC_API_KEY="a-foreign-key-of-mine", **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield child
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
            child.wait(15)
            for pipe in (child.stdout, child.stderr):
                assert pipe is not None
                pipe.close()

    return run


def ended(child: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and standard error of a miner that ends."""
    out, err = child.communicate(timeout=15)
    assert out == ""
    return child.returncode, err


def test_list_and_register(cli: Cli, server: ScriptedServer) -> None:
    """What tells miners apart fits into a line; registering sends what the options say."""
    offers = {"types": ["a", "b"], "gpu": "A100", "vram_gb": 24, "nested": {"x": 1}}
    page = Answer({"items": [{**MINER, "capabilities": offers}], "next_cursor": None})
    server.answers(page, page, Answer({"items": [], "next_cursor": None}))
    header, row = cli("miners", "list").out.splitlines()
    assert header.split("  ")[0] == "MINER"
    assert row.split() == ["rig-1", "ONLINE", "0/1", "-", "a,", "b;", "A100;", "vram_gb", "24", "2h", "ago"]
    assert cli("miners", "list", "--output", "json").json == [{**MINER, "capabilities": offers}]
    assert "aitbc miners run" in cli("miners", "list").err
    registered = Answer({"status": "ok", "session_token": "s"})
    server.answers(registered, registered)
    args = (
        "--miner-id rig-1 --type a --model m --gpu A100 --cuda 12 --vram-gb 24 --price 0.5 --region eu --concurrency 2"
    )
    assert cli("miners", "register", *args.split()).err == "Registered rig-1.\n"
    assert server.last.query == {"miner_id": "rig-1"}
    assert server.last.json == {
        "capabilities": {"types": ["a"], "models": ["m"], "gpu": "A100", "cuda": "12", "vram_gb": 24.0, "price": 0.5},
        "concurrency": 2,
        "region": "eu",
    }
    assert cli("miners", "register", "--output", "json").json == {"status": "ok", "session_token": "s"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_works_and_stops(number: int, market: Marketplace, start: StartMiner) -> None:
    """With nothing but a key it runs text-statistics; a signal ends it with 0 and a summary."""
    market.offer("job_1", TEXT)
    with start("--region", "eu") as child:
        market.wait_for(lambda: market.results)
        child.send_signal(number)
        code, err = ended(child)
    assert code == 0
    assert market.registrations[0] == {"capabilities": {"types": ["text-statistics"]}, "concurrency": 1, "region": "eu"}
    assert "job_1 started, type text-statistics" in err
    assert err.splitlines()[-1] == "stopped: 1 completed, 0 failed, 0 given up"


def test_run_with_a_program(market: Marketplace, start: StartMiner, tmp_path: Path) -> None:
    """A shell script with arguments is a runner."""
    script = tmp_path / "my program"
    script.write_text('#!/bin/sh\nread line\necho "{\\"arg\\": \\"$1\\", \\"job\\": \\"$AITBC_JOB_ID\\"}"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    market.offer("job_1", {"anything": "goes"})
    with start("--exec", f"'{script}' 'a b'"):
        market.wait_for(lambda: market.results)
    assert market.results["job_1"]["result"] == {"arg": "a b", "job": "job_1"}


def test_run_with_an_openai_server(market: Marketplace, start: StartMiner, server: ScriptedServer) -> None:
    """Its key comes from the variable that is named."""
    server.answers(Answer({"choices": [{"message": {"content": "Hi"}}], "model": "m", "usage": None}))
    market.offer("job_1", {"type": "inference", "prompt": "Hello", "model": "m"})
    with start("--openai-base-url", server.url, "--openai-api-key-env", "MY_KEY", MY_KEY="sk-1"):
        market.wait_for(lambda: market.results)
    assert market.results["job_1"]["result"]["text"] == "Hi"
    assert server.last.headers["authorization"] == "Bearer sk-1"


def test_a_second_signal_gives_up(market: Marketplace, start: StartMiner, tmp_path: Path) -> None:
    """Exit 130; the job is not reported, and its program does not go on alone."""
    pid_file = tmp_path / "pid"
    program = f"sh -c 'echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; sleep 60'"
    market.offer("job_1", {})
    with start("--exec", program, "--grace", "60s") as child:
        while not pid_file.exists():
            pass
        child.send_signal(signal.SIGINT)
        assert child.stderr is not None
        while "stopping; 1 at work" not in child.stderr.readline():
            pass
        child.send_signal(signal.SIGINT)
        code, err = ended(child)
    assert code == 130
    assert "1 given up" in err
    assert not market.failures
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_refused_key_is_exit_3(market: Marketplace, start: StartMiner) -> None:
    """With the error and the hint of every command."""
    market.fail = {"poll": [(401, problem(401, "revoked_api_key"))]}
    with start() as child:
        code, err = ended(child)
    assert code == 3
    assert "error: a sentence about revoked_api_key\nhint: a revoked key never works again" in err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--exec", "nosuchprogram"], "the program 'nosuchprogram' is not there"),
        (["--exec", __file__], "is not executable"),
        (["--exec", "'unclosed"], "No closing quotation"),
        (["--exec", ""], "names no program"),
        (["--exec", "cat", "--openai-base-url", "http://x"], "exclude each other"),
        (["--openai-base-url", "x"], "no address"),
        (["--openai-base-url", "http://x", "--openai-api-key-env", "NOT_SET_ANYWHERE"], "is not set"),
        (["--openai-api-key-env", "HOME"], "goes with --openai-base-url"),
        (["--type", "other"], "text-statistics only"),
        (["--concurrency", "0"], "1<=x<=1000"),
    ],
)
def test_what_cannot_run_is_told_at_once(args: list[str], told: str, cli: Cli, server: ScriptedServer) -> None:
    """Exit 2, before the miner registers for jobs that it could only fail."""
    ran = cli("miners", "run", *args)
    assert ran.code == 2
    assert told in ran.err
    assert not server.requests


@pytest.mark.parametrize(
    ("hostname", "miner_id"),
    [("rig-1", "rig-1"), ("Büro PC", "B-ro-PC"), ("-x", "x"), ("", "miner"), ("a" * 200, "a" * 100)],
)
def test_the_hosts_name_becomes_a_miner_id(hostname: str, miner_id: str) -> None:
    """Whatever it is, the server takes it."""
    assert host_miner_id(hostname) == miner_id
