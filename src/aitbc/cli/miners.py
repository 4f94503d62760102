"""``aitbc miners``: see them, register one, run one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from aitbc.cli.lazy import Group
from aitbc.cli.miner_options import capabilities_from, miner_properties
from aitbc.cli.output import Cell, Styled, note, print_json, print_table
from aitbc.cli.settings import Settings, pass_settings
from aitbc.cli.times import DURATION, DurationType, relative

if TYPE_CHECKING:
    from aitbc.schemas.miners import Miner

COLUMNS = ("MINER", "STATUS", "AT WORK", "REGION", "OFFERS", "LAST SEEN")


@click.group(cls=Group)
def miners() -> None:
    """List miners, or run one."""


@miners.command("list")
@pass_settings
def list_miners(settings: Settings) -> None:
    """List the tenant's miners and what they offer."""
    with settings.client() as client:
        listed = list(client.miners.list())
    if settings.json:
        print_json(listed)
    elif listed:
        now = settings.clock()
        print_table(settings, COLUMNS, [_row(miner, now) for miner in listed], wrap={"OFFERS"})
    else:
        note("no miners; `aitbc miners run` starts one")


@miners.command("register")
@miner_properties
@pass_settings
def register(settings: Settings, /, miner_id: str | None, concurrency: int, region: str | None, **offers: Any) -> None:
    """Register a miner that speaks the API by itself. `aitbc miners run` does it for its own."""
    with settings.client() as client:
        registered = client.miners.register(
            miner_id, capabilities=capabilities_from(**offers), concurrency=concurrency, region=region
        )
    if settings.json:
        print_json(registered)
    else:
        note(f"Registered {miner_id or 'the miner'}.")


@miners.command("run")
@click.option("--exec", "program", metavar="PROGRAM", help="Run each job in this program; may carry arguments.")
@click.option(
    "--exec-timeout",
    type=DurationType(at_least="1s"),
    default="10m",
    show_default=True,
    help="How long the program may take for a job.",
)
@click.option("--openai-base-url", metavar="URL", help="Answer inference jobs from this OpenAI-compatible server.")
@click.option("--openai-api-key-env", metavar="NAME", help="The environment variable that holds that server's key.")
@miner_properties
@click.option("--grace", type=DURATION, default="30s", show_default=True, help="How long a stop waits for jobs.")
@pass_settings
def run(
    settings: Settings,
    /,
    program: str | None,
    exec_timeout: timedelta,
    openai_base_url: str | None,
    openai_api_key_env: str | None,
    grace: timedelta,
    **offers: Any,
) -> None:
    """Run a miner: take jobs, run them, hand in the results.

    It goes on until Ctrl-C or SIGTERM, and lets running jobs finish; a second Ctrl-C ends them.

    With --exec, PROGRAM gets the payload as JSON on its standard input and prints the result, a JSON object.
    Another exit code than 0 fails the job: with the end of its standard error, or with
    {"error_code": "...", "error_message": "..."} where it prints that.

    With --openai-base-url, jobs of type inference, ai-inference, chat and completion are answered by that
    server, from their "prompt" or "messages" and "model".

    With neither, it runs jobs of type text-statistics by itself.
    """
    from aitbc.cli.miner_run import run_in_foreground
    from aitbc.cli.miner_runner import choose_runner

    if program is not None and openai_base_url is not None:
        raise click.UsageError("--exec and --openai-base-url exclude each other: run two miners")
    runner = choose_runner(
        program,
        exec_timeout_s=exec_timeout.total_seconds(),
        job_types=offers["types"],
        openai_base_url=openai_base_url,
        openai_api_key_env=openai_api_key_env,
        models=offers["models"],
    )
    run_in_foreground(settings, runner, grace_s=grace.total_seconds(), **offers)


def _row(miner: Miner, now: datetime) -> list[Cell]:
    return [
        miner.miner_id,
        Styled(miner.status, "green" if miner.status == "ONLINE" else "yellow"),
        f"{miner.inflight}/{miner.concurrency}",
        miner.region or "-",
        _offers(miner.capabilities) or "-",
        relative(miner.last_seen_at, now),
    ]


def _offers(capabilities: dict[str, Any]) -> str:
    """What tells miners apart, in one cell."""
    parts = []
    for name, value in capabilities.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        if isinstance(shown, (str, int, float)) and shown != "":
            parts.append(str(shown) if name in {"types", "models", "gpu"} else f"{name} {shown}")
    return "; ".join(parts)
