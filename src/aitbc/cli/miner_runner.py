"""From the options of ``miners run`` to a runner."""

from __future__ import annotations

import os
import shlex
import shutil

import click

from aitbc.worker import ExecRunner, OpenAIRunner, Runner, example_runner


def choose_runner(
    program: str | None,
    *,
    exec_timeout_s: float,
    job_types: tuple[str, ...],
    openai_base_url: str | None,
    openai_api_key_env: str | None,
    models: tuple[str, ...],
) -> Runner:
    """The runner meant by the options. Raises click.UsageError for what cannot run."""
    if program is not None:
        return ExecRunner(split_command(program), job_types=job_types, timeout_s=exec_timeout_s)
    if openai_base_url is not None:
        return _openai_runner(openai_base_url, openai_api_key_env, models)
    if openai_api_key_env is not None:
        raise click.UsageError("--openai-api-key-env goes with --openai-base-url")
    runner = example_runner(timeout_s=exec_timeout_s)
    if not set(job_types) <= set(runner.job_types):
        known = ", ".join(runner.job_types)
        raise click.UsageError(f"without --exec or --openai-base-url a miner runs jobs of type {known} only")
    return runner


def split_command(text: str) -> list[str]:
    """``text`` as a program and its arguments. Raises click.UsageError where there is no such program."""
    try:
        command = shlex.split(text, posix=os.name != "nt")
    except ValueError as error:
        raise click.UsageError(f"--exec {text!r}: {error}") from error
    if not command:
        raise click.UsageError("--exec names no program")
    if shutil.which(command[0]) is None:
        problem = "is not executable (chmod +x?)" if os.path.isfile(command[0]) else "is not there"  # noqa: PTH113
        raise click.UsageError(f"--exec: the program {command[0]!r} {problem}")
    return command


def _openai_runner(base_url: str, api_key_env: str | None, models: tuple[str, ...]) -> OpenAIRunner:
    api_key = os.environ.get(api_key_env) if api_key_env else None
    if api_key_env and not api_key:
        raise click.UsageError(f"--openai-api-key-env: the variable {api_key_env} is not set")
    try:
        return OpenAIRunner(base_url, api_key=api_key, models=models)
    except ValueError as error:
        raise click.UsageError(f"--openai-base-url: {error}") from error
