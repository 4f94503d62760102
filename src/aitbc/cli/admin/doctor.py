"""``aitbc admin doctor``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from aitbc.cli.errors import EXIT_ERROR
from aitbc.cli.lazy import Command
from aitbc.cli.output import Cell, Styled, print_json, print_table
from aitbc.cli.server_start import clear_faults, server_settings
from aitbc.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from aitbc_server.serving.findings import Finding

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(cls=Command)
@pass_settings
def doctor(settings: Settings) -> None:
    """Look at the installation and say what is wrong with it.

    It looks at the folder, the secret key, Valkey, the database, the keys, the clock and the server, and changes
    nothing.
    It exits with 1 if something is wrong.
    """
    from aitbc_server.clock import system_clock
    from aitbc_server.serving.doctor import examine

    configured = server_settings(settings)

    async def main() -> list[Finding]:
        return [finding async for finding in examine(configured, system_clock)]

    with clear_faults(settings):
        findings = asyncio.run(main())
    if settings.json:
        print_json(findings)
    else:
        rows: list[list[Cell]] = [
            [
                Styled(finding.level, _STYLES[finding.level]),
                finding.what,
                finding.detail + (f" -> {finding.remedy}" if finding.remedy else ""),
            ]
            for finding in findings
        ]
        print_table(settings, ("", "WHAT", "HOW IT IS"), rows, wrap={"HOW IT IS"})
    if any(finding.level == "fail" for finding in findings):
        raise click.exceptions.Exit(EXIT_ERROR)
