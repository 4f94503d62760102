"""``aitbc admin migrate``."""

from __future__ import annotations

import asyncio

import click

from aitbc.cli.admin.operate import on_new_database
from aitbc.cli.lazy import Command
from aitbc.cli.output import note, print_json
from aitbc.cli.server_start import clear_faults, keep_files_private, server_settings
from aitbc.cli.settings import Settings, pass_settings


@click.command(cls=Command)
@pass_settings
def migrate(settings: Settings) -> None:
    """Bring the database's schema to this release's version.

    Run it before the first start on PostgreSQL, and after an update; on SQLite the server does it by itself.
    To run it again changes nothing, and a later release's version stays. A fleet's nodes go on meanwhile: they are
    restarted one by one afterwards.
    """
    from aitbc_server import logging
    from aitbc_server.db.migrate import HEAD
    from aitbc_server.serving.installation import migrated

    keep_files_private()
    configured = server_settings(settings)
    logging.configure("warning", terminal=True, color=settings.color)
    say_if_new = on_new_database(configured, creates=True)
    with clear_faults(settings):
        before, current = asyncio.run(migrated(configured))
    say_if_new()
    if settings.json:
        print_json({"before": before, "now": current})
    elif current != HEAD:
        note(f"The schema is at version {current}, of a later release than this one ({HEAD}): nothing was changed.")
    elif before == HEAD:
        note(f"The schema is at version {HEAD} already.")
    else:
        note(f"The schema is at version {HEAD} now{f', it was at {before}' if before else ''}.")
