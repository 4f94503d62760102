"""``aitbc serve``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from aitbc.cli.lazy import Command
from aitbc.cli.server_start import clear_faults, keep_files_private, server_settings
from aitbc.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from aitbc_server.db.engine import Database
    from aitbc_server.secret_keys import SecretKeys


@click.command(cls=Command)
@pass_settings
def serve(settings: Settings) -> None:
    """Start the server.

    The variables AITBC_* configure it: AITBC_DATA_DIR names the folder for its files, AITBC_HOST and AITBC_PORT
    where it listens, AITBC_DATABASE_URL a PostgreSQL database in place of SQLite. The documentation lists them all.

    It stops on Ctrl-C or SIGTERM, within 5 seconds and without losing anything; a second Ctrl-C ends it at once.
    Its log is on standard error: short lines on a terminal, JSON elsewhere.
    """
    from aitbc_server import logging
    from aitbc_server.serving import checks, server, workers
    from aitbc_server.serving.ready import announced

    keep_files_private()
    configured = server_settings(settings)
    logging.configure(configured.log_level, color=settings.color)

    async def prepare(database: Database, _secret_keys: SecretKeys, _url: str) -> None:
        await checks.refuse_dev_keys(database)

    @asynccontextmanager
    async def beside(url: str) -> AsyncIterator[None]:
        announced(configured, url)
        yield

    role = server.Role(may_migrate=False, prepare=prepare, beside=beside)
    run = workers.run if configured.workers > 1 else server.run
    with clear_faults(settings):
        raise click.exceptions.Exit(run(configured, role))
