"""``aitbc admin import-keys``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING

import click

from aitbc.cli.admin.operate import operate, operator
from aitbc.cli.errors import CommandError
from aitbc.cli.key_views import LIST_COLUMNS, list_row
from aitbc.cli.lazy import Command
from aitbc.cli.output import counted, note, print_json, print_table
from aitbc.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from aitbc_server.api_keys.import_file import ImportedLine
    from aitbc_server.api_keys.imports import Imported
    from aitbc_server.serving.installation import Installation


@click.command("import-keys", cls=Command)
@click.argument("file", type=click.File("rb"))
@pass_settings
def import_keys(settings: Settings, /, file: IO[bytes]) -> None:
    """Let keys of another system go on working here.

    FILE (- for standard input) has a JSON object on each line:
    {"key": "...", "tenant": "acme", "environment": "live", "preset": "client", "name": "billing"}; the name may be
    left out. Keys have 16 to 512 printable characters. The file is checked as a whole before the first key is
    imported; to import it again changes nothing.
    """
    from aitbc_server.api_keys.import_file import parse_lines

    lines, problems = parse_lines(file.read())
    operate(settings, lambda it: _import(it, lines, problems), lambda imported: _show(settings, imported))


async def _import(
    installation: Installation, lines: Sequence[ImportedLine], problems: Mapping[int, str]
) -> list[Imported]:
    from aitbc_server.api_keys.imports import RefusedImportError
    from aitbc_server.tenants.service import OPERATOR_TENANT

    try:
        # Each key is imported for the tenant that its line names.
        return await installation.imports.import_keys(operator("import-keys", OPERATOR_TENANT), lines, problems)
    except RefusedImportError as error:
        told = [f"line {number}: {problem}" for number, problem in sorted(error.problems.items())]
        raise CommandError("\n  ".join(["nothing was imported:", *told])) from error


def _tally(imported: list[Imported]) -> str:
    """How many of the keys are new, and how many were here before, in words."""
    new = sum(one.is_new for one in imported)
    known = len(imported) - new
    there = f"{known} {'was' if known == 1 else 'were'} here already"
    if not new:
        return f"no new keys; {there}" if known else "no keys"
    return counted(new, "new key") + (f"; {there}" if known else "")


def _show(settings: Settings, imported: list[Imported]) -> None:
    keys = [one.key for one in imported]
    if settings.json:
        print_json(keys)
        return
    note(f"Imported {_tally(imported)}.")
    if keys:
        note("Now delete the file: the keys in it are secrets, and the server keeps only digests of them.")
        print_table(settings, LIST_COLUMNS, [list_row(key, settings.clock()) for key in keys], wrap={"NAME"})
