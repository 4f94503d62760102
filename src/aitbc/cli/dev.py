"""``aitbc dev``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from aitbc.cli.lazy import Command
from aitbc.cli.options import IntRange
from aitbc.cli.output import print_json
from aitbc.cli.server_start import clear_faults, keep_files_private
from aitbc.cli.settings import Settings, pass_settings


@click.command(cls=Command)
@click.option(
    "--port",
    type=IntRange(0, 65535),
    default=8000,
    show_default=True,
    metavar="PORT",
    help="Where it listens; 0: any port that is free.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=".aitbc",
    show_default=True,
    metavar="FOLDER",
    help="Where it keeps everything; delete it to begin anew.",
)
@click.option("--no-miner", is_flag=True, help="Start no miner.")
@click.option("--end-with", type=int, hidden=True, help="Die when the parent is not, or no longer, this process.")
@pass_settings
def dev(settings: Settings, /, port: int, data_dir: Path, no_miner: bool, end_with: int | None) -> None:
    """Start a server for development, with keys and a miner.

    It prints the keys and writes them to FOLDER/dev.env for a shell to load. A later start on the same folder keeps
    them. CLIENT_API_KEY and MINER_API_KEY are taken from the environment where they are set: any text of 16
    characters or more.

    It listens on 127.0.0.1 only, and has the tenant test-tenant, plan pro. All keys are of the environment test.
    """
    from aitbc_server import logging
    from aitbc_server.dev.banner import banner
    from aitbc_server.dev.keys import TENANT
    from aitbc_server.dev.server import dev_settings, run_dev
    from aitbc_server.serving.parent import end_with as end_with_parent

    def announce(url: str, keys: Mapping[str, str], env_file: Path) -> None:
        if settings.json:
            print_json({"AITBC_BASE_URL": url, "AITBC_TENANT_ID": TENANT, **keys})
        else:
            bold = settings.color and sys.stdout.isatty()
            click.echo(banner(url, keys, env_file, tenant=TENANT, miner=not no_miner, bold=bold))
        sys.stdout.flush()

    keep_files_private()
    with clear_faults(settings):
        configured = dev_settings(os.environ, data_dir=data_dir, port=port)
        # Somebody is looking on, also through a pipe: lines for people.
        logging.configure(configured.log_level, terminal=True, color=settings.color)
        if end_with is not None:
            end_with_parent(end_with)
        raise click.exceptions.Exit(run_dev(configured, miner=not no_miner, announce=announce))
