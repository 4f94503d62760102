"""``aitbc admin export``, ``import`` and ``renew-fences``: moving an installation, and restoring one."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from aitbc.cli.admin.operate import on_new_database, operate
from aitbc.cli.errors import CommandError
from aitbc.cli.lazy import Command
from aitbc.cli.output import counted, note, print_json
from aitbc.cli.server_start import clear_faults, keep_files_private, server_settings
from aitbc.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from aitbc_server.serving.installation import Installation
    from aitbc_server.transfer.lines import Header

_FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
_STANDARD = Path("-")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@click.command("export", cls=Command)
@click.argument("file", type=_FILE)
@pass_settings
def export(settings: Settings, /, file: Path) -> None:
    """Write the whole installation into a file.

    FILE (- for standard output) gets JSON lines: tenants, plans, people, keys, jobs, miners, usage and the audit log,
    as they stand at one moment. Keys and passwords are in it as keyed digests only. Browser sessions, links and mails
    stay behind. The server may run meanwhile; stop it first where nothing that comes later may be lost.

    `aitbc admin import` takes the file on SQLite and on PostgreSQL; together with the secret key every key goes on
    working.
    """
    from aitbc_server.clock import system_clock
    from aitbc_server.transfer.exporting import export as write

    keep_files_private()

    async def work(installation: Installation) -> Header:
        with _new_file(file) as output:
            return await write(installation.database, installation.secret_keys, output, system_clock)

    operate(settings, work, lambda header: _say(settings, "Exported", header, on_stdout=file != _STANDARD))


@click.command("import", cls=Command)
@click.argument("file", type=_FILE)
@pass_settings
def import_(settings: Settings, /, file: Path) -> None:
    """Fill an empty database from a file of `aitbc admin export`.

    FILE (- for standard input) is imported as a whole or not at all. The database that AITBC_DATA_DIR or
    AITBC_DATABASE_URL names must have the schema of this release (on PostgreSQL: `aitbc admin migrate`) and no data;
    no server may run on it, and the secret key must be the old installation's.
    """
    from aitbc_server import logging
    from aitbc_server.transfer.installing import install

    keep_files_private()
    configured = server_settings(settings)
    logging.configure("warning", terminal=True, color=settings.color)
    say_if_new = on_new_database(configured, creates=True)
    with clear_faults(settings), _opened(file) as source:
        header, confirmed = asyncio.run(install(configured, source))
    say_if_new()
    _say(settings, "Imported", header)
    if not confirmed:
        raise CommandError(
            "everything is imported, but Valkey has not taken it within 10 s", hint="aitbc admin renew-fences"
        )


@click.command("renew-fences", cls=Command)
@pass_settings
def renew_fences(settings: Settings) -> None:
    """Let every node read anew what it knows of keys and tenants.

    Run it after the database was restored or changed by hand: no server goes on believing what it read before. It
    changes nothing else, and harms nobody.
    """

    def show(tenants: int) -> None:
        if settings.json:
            print_json({"tenants": tenants})
        else:
            note(f"Every node reads anew what it knows of {counted(tenants, 'tenant')}.")

    operate(settings, lambda installation: installation.renew_fences(), show)


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that is there whole or not at all, for its owner alone. Raises CommandError."""
    if path == _STANDARD:
        with _standard_output() as file:
            yield file
        return
    if path.exists():
        raise CommandError(f"{path} is there already", hint="name another file, or remove it first")
    # A name that nobody foresees, and never a file or a link that is there: it would have another owner and mode.
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(os.open(part, _NEW, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        # Of the file: what the database does is a DomainError by then.
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _standard_output() -> Iterator[IO[bytes]]:
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is still buffered must not fail at exit again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CommandError(f"standard output cannot be written: {error.strerror}") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if path == _STANDARD:
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        yield file


def _say(settings: Settings, done: str, header: Header, *, on_stdout: bool = True) -> None:
    if settings.json:
        if on_stdout:
            print_json({"schema": header.schema, "exported_at": header.exported_at, "rows": header.rows})
        return
    rows = header.rows
    parts = [
        counted(rows[table], noun)
        for table, noun in (
            ("tenants", "tenant"),
            ("api_keys", "key"),
            ("jobs", "job"),
            ("audit_events", "audit event"),
        )
    ]
    note(f"{done} {', '.join(parts)}, and all that belongs to them: {counted(sum(rows.values()), 'row')} in all.")
