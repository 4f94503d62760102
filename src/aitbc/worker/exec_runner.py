"""Runs each job in a program: the payload as JSON on its standard input, the result as JSON on its output.

A program that exits with 0 and prints a JSON object has done the job. One that exits otherwise has failed it,
``exec_failed``, and the end of its standard error is the reason, unless it prints
``{"error_code": "...", "error_message": "..."}``, which then is.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aitbc import keyformat
from aitbc.worker.example import JOB_TYPES
from aitbc.worker.program import Program
from aitbc.worker.runner import JobFailed, JsonObject, check_type

MAX_OUTPUT_BYTES = 1 << 20
DEFAULT_TIMEOUT_S = 600.0

_LOOK_EVERY_S = 0.02
# What belongs to the miner and is none of the program's business.
_SECRET_VARIABLES = frozenset(
    ["AITBC_API_KEY", "CLIENT_API_KEY", "MINER_API_KEY", "MANAGER_API_KEY", "AITBC_SECRET_KEY", "AITBC_SECRET_KEY_FILE"]
)


class ExecRunner:
    """Runs ``command`` (program and arguments, no shell) once for each job, for at most ``timeout_s``.

    The program gets the miner's environment without API keys, and AITBC_JOB_ID. Its whole process group is
    killed when it takes too long, prints more than 1 MiB, or the miner gives up.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        job_types: Sequence[str] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.command = list(command)
        self.job_types = tuple(job_types)
        self.timeout_s = timeout_s
        self._environment = environment
        self._clock = clock

    def run(self, job_id: str, payload: JsonObject, cancelled: threading.Event) -> JsonObject:
        """Run the program for one job. Raises JobFailed."""
        check_type(payload, self.job_types)
        try:
            program = Program(
                self.command,
                environment=self._program_environment(job_id),
                stdin=json.dumps(payload).encode(),
                max_output_bytes=MAX_OUTPUT_BYTES,
            )
        except (OSError, ValueError) as error:
            raise JobFailed("exec_failed", f"the program could not be started: {error}") from error
        try:
            exit_code = self._watch(program, cancelled)
        finally:
            program.end()
        if program.too_much.is_set():
            raise _too_much()
        return _result(exit_code, program)

    def _watch(self, program: Program, cancelled: threading.Event) -> int:
        """The exit code, once there is one."""
        deadline = self._clock() + self.timeout_s
        while (exit_code := program.exit_code()) is None:
            if program.too_much.is_set():
                raise _too_much()
            if self._clock() > deadline:
                raise JobFailed("exec_timeout", f"the program took longer than {self.timeout_s:g} s")
            if cancelled.wait(_LOOK_EVERY_S):
                raise JobFailed("exec_failed", "the miner stopped")
        return exit_code

    def _program_environment(self, job_id: str) -> dict[str, str]:
        given = os.environ if self._environment is None else self._environment
        kept = {
            name: value
            for name, value in given.items()
            if name not in _SECRET_VARIABLES and not any(keyformat.scan(value))
        }
        return kept | {"AITBC_JOB_ID": job_id}


def example_runner(*, timeout_s: float = DEFAULT_TIMEOUT_S) -> ExecRunner:
    """The program that comes along: statistics of a text (``python -m aitbc.worker.example``)."""
    # -P: a file of the folder that the miner was started in must not stand in for a module.
    command = [sys.executable, "-P", "-m", "aitbc.worker.example"]
    return ExecRunner(command, job_types=JOB_TYPES, timeout_s=timeout_s)


def _too_much() -> JobFailed:
    return JobFailed("exec_failed", f"the program printed more than {MAX_OUTPUT_BYTES} bytes")


def _result(exit_code: int, program: Program) -> JsonObject:
    answer, problem = _parse(program.stdout)
    if exit_code != 0:
        raise _failure(exit_code, answer, program.stderr_tail)
    if answer is None:
        raise JobFailed("exec_failed", f"the program's output is no JSON object: {problem}")
    return answer


def _failure(exit_code: int, answer: JsonObject | None, stderr: str) -> JobFailed:
    code = (answer or {}).get("error_code")
    if isinstance(code, str) and 0 < len(code) <= 100:
        return JobFailed(code, str((answer or {}).get("error_message", "")))
    how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    return JobFailed("exec_failed", f"the program ended with {how}" + (f": {stderr}" if stderr else ""))


def _parse(data: bytes) -> tuple[JsonObject | None, str]:
    """The JSON object in ``data``, or None and what is wrong with it."""
    try:
        value: Any = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # Lone surrogates cannot travel.
    except (ValueError, RecursionError) as error:
        return None, str(error) if data else "it printed nothing"
    if not isinstance(value, dict):
        return None, f'it printed a {type(value).__name__}; print an object, such as {{"output": ...}}'
    return value, ""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
