"""``aitbc jobs``: submit work, follow it, fetch its result."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from aitbc.cli.job_input import SubmitFields, build_job, submit_fields
from aitbc.cli.job_wait import print_result, wait
from aitbc.cli.lazy import Group
from aitbc.cli.options import IntRange
from aitbc.cli.output import Cell, Styled, note, print_details, print_json, print_table
from aitbc.cli.settings import Settings, pass_settings
from aitbc.cli.times import DURATION, MOMENT, before, relative, short

if TYPE_CHECKING:
    from aitbc.schemas.jobs import Job

STATES = ("QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELED", "EXPIRED")
COLUMNS = ("JOB", "STATE", "MINER", "REQUESTED", "ERROR")
# While a person waits, a call that fails for a moment is tried again: the job goes on meanwhile.
WAIT_RETRIES = 5

_STATE_STYLES = {
    "COMPLETED": "green",
    "FAILED": "red",
    "EXPIRED": "red",
    "CANCELED": "yellow",
    "RUNNING": "cyan",
}


@click.group(cls=Group)
def jobs() -> None:
    """Submit jobs and fetch their results."""


@jobs.command("submit")
@click.argument("job", required=False)
@submit_fields
@click.option("--wait", "waits", is_flag=True, help="Wait for the result and print it.")
@click.option("--timeout", type=DURATION, metavar="DURATION", help="How long to --wait. [default: until it ends]")
@click.option("--idempotency-key", metavar="TEXT", help="The same text again gives the first job, for 24 hours.")
@pass_settings
def submit(
    settings: Settings,
    /,
    job: str | None,
    waits: bool,
    timeout: timedelta | None,
    idempotency_key: str | None,
    **fields: Any,
) -> None:
    """Submit a job.

    It is made of options, or JOB: JSON text, the name of a file that holds it, or - for standard input.

    \b
    Examples:
      aitbc jobs submit --type text-statistics --text "to be or not to be" --wait
      aitbc jobs submit job.json --ttl 1h
      aitbc jobs submit '{"type": "inference", "prompt": "Hello"}' --gpu A100

    The JSON is the payload itself, or {"payload": {...}, "constraints": {...}, "ttl_seconds": 900}. Options
    are added to it, and win over it. Prints the job's id; with --wait the result, as JSON.
    """
    if timeout is not None and not waits:
        raise click.UsageError("--timeout is for --wait; --ttl bounds the job itself")
    body = build_job(job, SubmitFields(**fields))
    with settings.client(max_retries=WAIT_RETRIES if waits else 0) as client:
        submitted = client.jobs.create(body, idempotency_key=idempotency_key)
        if waits:
            note(f"Submitted {submitted.job_id}.")
            wait(settings, client, submitted.job_id, timeout)
            print_result(settings, client.jobs.result(submitted.job_id))
        elif settings.json:
            print_json(submitted)
        else:
            note(f"Submitted; `aitbc jobs wait {submitted.job_id}` waits for the result.")
            click.echo(submitted.job_id)


@jobs.command("list")
@click.option("--state", type=click.Choice(STATES, case_sensitive=False), help="Only jobs in this state.")
@click.option("--after", type=MOMENT, metavar="WHEN", help="Requested after: RFC 3339, or 24h for 24 hours ago.")
@click.option("--before", "until", type=MOMENT, metavar="WHEN", help="Requested before.")
@click.option("--limit", type=IntRange(min=1), default=50, show_default=True, metavar="N", help="At most so many.")
@pass_settings
def list_jobs(
    settings: Settings,
    /,
    state: str | None,
    after: datetime | timedelta | None,
    until: datetime | timedelta | None,
    limit: int,
) -> None:
    """List jobs, newest first."""
    now = settings.clock()
    with settings.client() as client:
        found = client.jobs.list(
            state=state,
            created_after=before(now, after),
            created_before=before(now, until),
            limit=min(limit, 100),
        )
        listed = list(islice(found, limit))
    if settings.json:
        print_json(listed)
    elif listed:
        print_table(settings, COLUMNS, [_row(job, now) for job in listed], wrap={"ERROR"})
    if len(listed) == limit:
        note(f"the newest {limit} are shown; --limit shows more")
    elif not listed:
        note("no jobs")


@jobs.command("get")
@click.argument("job_id")
@pass_settings
def get(settings: Settings, /, job_id: str) -> None:
    """Show where a job stands."""
    with settings.client() as client:
        _show(settings, client.jobs.get(job_id))


@jobs.command("wait")
@click.argument("job_id")
@click.option("--timeout", type=DURATION, metavar="DURATION", help="How long to wait. [default: until it ends]")
@pass_settings
def wait_for(settings: Settings, /, job_id: str, timeout: timedelta | None) -> None:
    """Wait until a job ends and print its result as JSON.

    A job that did not complete makes this exit with 1 and say why.
    """
    with settings.client(max_retries=WAIT_RETRIES) as client:
        wait(settings, client, job_id, timeout)
        print_result(settings, client.jobs.result(job_id))


@jobs.command("result")
@click.argument("job_id")
@pass_settings
def result(settings: Settings, /, job_id: str) -> None:
    """Print the result of a job that has ended, as JSON.

    With `--output json` it comes with the job's state and the miner's receipt.
    """
    settings.job_id = job_id
    with settings.client() as client:
        print_result(settings, client.jobs.result(job_id))


@jobs.command("cancel")
@click.argument("job_id")
@pass_settings
def cancel(settings: Settings, /, job_id: str) -> None:
    """Cancel a job that has not ended."""
    with settings.client() as client:
        job = client.jobs.cancel(job_id)
    if settings.json:
        print_json(job)
    else:
        note(f"Canceled {job.job_id}.")


def _show(settings: Settings, job: Job) -> None:
    if settings.json:
        print_json(job)
        return
    now = settings.clock()
    rows: list[tuple[str, Cell]] = [
        ("Job", job.job_id),
        ("State", _state(job)),
        ("Miner", job.assigned_miner_id or "-"),
        ("Requested", f"{short(job.requested_at)} ({relative(job.requested_at, now)})"),
        ("Expires", f"{short(job.expires_at)} ({relative(job.expires_at, now)})"),
        ("Error", job.error or "-"),
    ]
    print_details(settings, rows)


def _row(job: Job, now: datetime) -> list[Cell]:
    return [
        job.job_id,
        _state(job),
        job.assigned_miner_id or "-",
        relative(job.requested_at, now),
        (job.error or "-").partition("\n")[0],
    ]


def _state(job: Job) -> Cell:
    return Styled(str(job.state), _STATE_STYLES.get(str(job.state), ""))
