"""Jobs run in real programs: what they print is the result, and nothing of them is left behind."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from aitbc import keyformat
from aitbc.worker import ExecRunner, JobFailed


def python(code: str, **options: Any) -> ExecRunner:
    """A runner whose program is ``code``."""
    return ExecRunner([sys.executable, "-c", code], **options)


def run(runner: ExecRunner, payload: dict[str, Any] | None = None, cancelled: threading.Event | None = None) -> Any:
    """The result, or the failure."""
    try:
        return runner.run("job_1", payload or {}, cancelled or threading.Event())
    except JobFailed as failure:
        return failure


def test_the_payload_goes_in_and_the_result_comes_out() -> None:
    """JSON on standard input, JSON on standard output, whatever the language of the text."""
    runner = python("import json, sys; p = json.load(sys.stdin); print(json.dumps({'got': p['text'] * 2}))")
    assert run(runner, {"text": "mañana "}) == {"got": "mañana mañana "}


def test_large_input_and_output_do_not_block_each_other() -> None:
    """A program that answers before it has read everything, with pipes larger than their buffers."""
    runner = python("import sys; print('{\"a\": \"' + 'x' * 900_000 + '\"}', flush=True); sys.stdin.read()")
    assert len(run(runner, {"text": "y" * 900_000})["a"]) == 900_000


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import sys; sys.exit('out of memory')", "exit code 1: out of memory"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
        ("print('not json')", "no JSON object"),
        ("print('[1]')", "it printed a list"),
        ("print('{\"a\": NaN}')", "NaN is not JSON"),
        ('print(\'{"a": "\\\\ud800"}\')', "no JSON object"),
        ("print('[' * 100_000)", "no JSON object"),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", "no JSON object"),
        ("pass", "it printed nothing"),
        ("print('x' * 2_000_000)", "more than 1048576 bytes"),
        ("import sys; sys.stderr.write('a' * 100_000 + 'the end'); sys.exit(2)", "the end"),
        ("print('{\"error_code\": 7}'); raise SystemExit(3)", "exit code 3"),
    ],
)
def test_a_program_that_fails_tells_why(code: str, told: str) -> None:
    """Another exit code, or output that is no JSON object, is ``exec_failed`` with a reason to act on."""
    failure = run(python(code))
    assert isinstance(failure, JobFailed)
    assert failure.code == "exec_failed"
    assert told in failure.message
    assert len(failure.message) < 5000


def test_a_program_that_says_too_much_and_is_gone_is_found_out_too() -> None:
    """Whether it is caught in the act or has ended by then, the job fails for the same reason."""

    def slow_clock() -> float:
        time.sleep(0.5)
        return time.monotonic()

    failure = run(ExecRunner(["sh", "-c", "head -c 2000000 /dev/zero"], clock=slow_clock))
    assert "more than 1048576 bytes" in failure.message


def test_a_program_can_name_its_own_error() -> None:
    """``error_code`` and ``error_message`` on standard output with an exit code other than 0."""
    failure = run(python('print(\'{"error_code": "no_gpu", "error_message": "m"}\'); raise SystemExit(1)'))
    assert (failure.code, failure.message) == ("no_gpu", "m")


def test_a_program_that_is_gone_fails_the_job() -> None:
    """A program that was there when the miner started need not be there for ever."""
    failure = run(ExecRunner(["/nonexistent/program"]))
    assert failure.code == "exec_failed"
    assert "could not be started" in failure.message


def test_job_types_are_refused_before_the_program_runs() -> None:
    """With ``--type``, a job of another type or of none ends unsupported_job_type, naming those."""
    runner = python("print('{}')", job_types=["a", "b"])
    assert run(runner, {"type": "b"}) == {}
    assert run(runner, {"type": "c"}).code == "unsupported_job_type"
    assert "it can run: a, b" in run(runner, {}).message


def test_the_program_gets_no_key_of_the_miner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job's program is not the miner: it sees the environment without API keys, whatever they are called."""
    key = keyformat.build(*keyformat.generate("test"))
    for name in ("AITBC_API_KEY", "MINER_API_KEY", "AITBC_SECRET_KEY"):
        monkeypatch.setenv(name, "a-foreign-key-of-ours")
    monkeypatch.setenv("SOMETHING_ELSE", f"key={key}")
    monkeypatch.setenv("HARMLESS", "kept")
    seen = run(python("import json, os; print(json.dumps(dict(os.environ)))"))
    assert seen["HARMLESS"] == "kept"
    assert seen["AITBC_JOB_ID"] == "job_1"
    assert not {"AITBC_API_KEY", "MINER_API_KEY", "AITBC_SECRET_KEY", "SOMETHING_ELSE"} & seen.keys()


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


CHILD = (
    "import subprocess, sys, pathlib, os; c = subprocess.Popen(['sleep', '60']); "
    "pathlib.Path({!r}).write_text(str(c.pid)); "
)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
@pytest.mark.parametrize(
    ("end", "timeout_s", "cancel", "code"),
    [
        ("import time; time.sleep(60)", 2, False, "exec_timeout"),
        ("import time; time.sleep(60)", 60, True, "exec_failed"),
        ("print('{}')", 60, False, None),
        ("os.kill(os.getpid(), 9)", 60, False, "exec_failed"),
    ],
    ids=["too long", "given up", "done", "crashed"],
)
def test_nothing_that_a_program_started_outlives_it(
    end: str, timeout_s: float, cancel: bool, code: str | None, tmp_path: Path
) -> None:
    """The whole process group ends with the job, however that ends; a child that holds the pipes blocks nothing."""
    cancelled = threading.Event()
    if cancel:
        threading.Timer(0.5, cancelled.set).start()
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    outcome = run(python(CHILD.format(str(pid_file)) + end, timeout_s=timeout_s), cancelled=cancelled)
    assert time.monotonic() - started < 10
    assert (outcome.code if isinstance(outcome, JobFailed) else None) == code
    while alive(int(pid_file.read_text())):
        assert time.monotonic() - started < 10


def test_the_terminals_ctrl_c_is_not_the_programs() -> None:
    """The program is in a group of its own, so that the miner can let it finish."""
    assert run(python("import os; print('{\"group\": %d}' % os.getpgid(0))")) != {"group": os.getpgid(0)}
