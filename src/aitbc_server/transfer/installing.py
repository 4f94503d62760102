"""An import as an operator's command: on a database that nobody serves, with the old installation's secret key."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from aitbc_server.db.engine import Database
from aitbc_server.db.installation_id import installation_id
from aitbc_server.serving import checks, folder, presence, store_checks
from aitbc_server.serving.errors import StartError
from aitbc_server.serving.installation import opened
from aitbc_server.settings import Settings
from aitbc_server.transfer.importing import import_file
from aitbc_server.transfer.lines import FileError, Header


async def install(settings: Settings, file: IO[bytes]) -> tuple[Header, bool]:
    """Import the file; what was imported, and whether every node of a running fleet is known to see it.

    Raises StartError where it cannot be; the database is as it was then.
    """
    checks.ensure_named_secret_key(settings)
    _ensure_secret_key(settings)
    folder.prepare(settings.data_dir)
    lock = folder.FolderLock(settings.data_dir)
    lock.acquire()
    try:
        with _seekable(file, settings.data_dir) as source:
            header = await _import(settings, source)
    finally:
        lock.release()
    if not settings.valkey_url:
        return header, True
    # Whatever Valkey remembers of tenants of the same names is of another database.
    async with opened(settings) as (installation, fences):
        await installation.renew_fences()
        return header, fences.unconfirmed is None


@contextmanager
def _seekable(file: IO[bytes], folder: Path) -> Iterator[IO[bytes]]:
    """The file, or all that comes out of a pipe in a nameless file for its owner alone: it is read twice."""
    if file.seekable():
        yield file
        return
    with tempfile.TemporaryFile(dir=folder) as kept:
        try:
            shutil.copyfileobj(file, kept)
            kept.seek(0)
        except OSError as error:
            raise StartError(f"nothing was imported: {folder} cannot take the file: {error.strerror}") from error
        yield kept


async def _import(settings: Settings, file: IO[bytes]) -> Header:
    database = Database(settings.sqlalchemy_url)
    try:
        await checks.ensure_schema(database, may_migrate=database.is_sqlite)
        async with checks.explained(database):
            if not database.is_sqlite and await presence.server_runs(database, settings.data_dir):
                raise StartError("a server is running on this database", hint="stop it, and import again")
            secret_keys = await checks.load_secret_keys(settings, database)
            before = await installation_id(database)
            header = await import_file(database, secret_keys, file)
            if settings.valkey_url:
                # A server may have run on the empty database: what is imported takes over the Valkey of that one.
                await store_checks.hand_over(settings.valkey_url, before, await installation_id(database))
            return header
    except FileError as error:
        raise StartError(f"nothing was imported: {error}") from error
    finally:
        await database.close()


def _ensure_secret_key(settings: Settings) -> None:
    """A fresh secret key would be of no use: no key that is imported could be proved right by it."""
    if not (settings.secret_key or settings.secret_key_file or settings.own_secret_key_file.exists()):
        raise StartError(
            f"the secret key of the old installation is missing: there is no {settings.own_secret_key_file}",
            hint="copy the file from the old data folder first, or name it with AITBC_SECRET_KEY_FILE",
        )
