"""Waiting for a job, with progress for whoever watches, and printing how it ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from aitbc.cli.errors import CommandError
from aitbc.cli.output import clean, note, print_json
from aitbc.cli.settings import Settings

if TYPE_CHECKING:
    from aitbc import AITBCClient
    from aitbc.schemas.jobs import Job, JobResult

_POLL_INTERVAL_S = 0.5


def wait(settings: Settings, client: AITBCClient, job_id: str, timeout: timedelta | None) -> None:
    """Wait until the job is final. Progress goes to standard error: a line that moves, or plain lines in a pipe.

    Raises JobTimeoutError where the job is not final in time.
    """
    with _progress(settings, job_id) as show:
        client.jobs.wait_for_completion(
            job_id,
            timeout=timeout.total_seconds() if timeout is not None else None,
            poll_interval=_POLL_INTERVAL_S,
            on_update=lambda job: show(_describe(job)),
        )


def _describe(job: Job) -> str:
    miner = f" on {job.assigned_miner_id}" if job.assigned_miner_id else ""
    return f"{job.job_id} {job.state}{miner}"


@contextmanager
def _progress(settings: Settings, job_id: str) -> Iterator[Callable[[str], None]]:
    if not sys.stderr.isatty():
        yield note
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, no_color=not settings.color), transient=True) as progress:
        task = progress.add_task(clean(job_id), total=None)
        yield lambda text: progress.update(task, description=clean(text))


def print_result(settings: Settings, result: JobResult) -> None:
    """Print the result as JSON. Raises CommandError for a job that ended otherwise than COMPLETED."""
    if settings.json:
        print_json(result)
    elif result.state == "COMPLETED":
        print_json(result.result)
    if result.state != "COMPLETED":
        reason = f": {result.error}" if result.error else ""
        raise CommandError(f"job {result.job_id} {result.state}{reason}")
