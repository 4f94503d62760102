"""Read an installation from a file into an empty database: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from aitbc_server.db import migrate
from aitbc_server.db.engine import Database
from aitbc_server.db.metadata import metadata
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.transfer.lines import UNREADABLE, FileError, Header, Reader, Section
from aitbc_server.transfer.tables import TABLES, TravellingTable

# Rows are inserted so many, or so many bytes, at a time.
_ROWS = 1000
_BYTES = 4_000_000

# A migration puts plans and an id in, and servers clear the outbox up by themselves.
_MAY_HAVE_ROWS = {"plans", "installation", "fence_outbox"}
# What a migration puts in is the new database's: the file has the installation's own.
_REPLACED = {"plans", "installation"}


async def import_file(database: Database, secret_keys: SecretKeys, file: IO[bytes]) -> Header:
    """Import everything, in one transaction; what was imported. Raises FileError, and has changed nothing then.

    The schema is this release's, and the database has no rows but the plans that every new one has. That the file is
    whole and unchanged is known before any row of it is looked at.
    """
    reader = Reader(file, secret_keys)
    if reader.header.schema != migrate.HEAD:
        raise FileError(
            f"the file is of schema {reader.header.schema}, and this release has {migrate.HEAD}: bring both"
            " installations to one release (`aitbc admin migrate`) and export again"
        )
    async with database.writer.begin() as connection:
        await _lock(database, connection)
        await _ensure_empty(connection)
        rows = 0
        for table in TABLES:
            expected = reader.header.rows.get(table.name, 0)
            if reader.section() != Section(table.name, table.columns):
                raise FileError(f"line {reader.number}: expected the table {table.name} with this release's columns")
            if table.name in _REPLACED:
                await connection.execute(delete(table.table))
            for portion in _portions(reader, table, expected):
                await _insert(connection, table, portion, reader.number)
            rows += expected
        # Raises where the file is not what it was at the begin: then nothing of it stays.
        reader.end(rows)
    return reader.header


async def _lock(database: Database, connection: AsyncConnection) -> None:
    """Nobody else writes until this is over. SQLite has one writer at a time anyway."""
    if not database.is_sqlite:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        names = ", ".join(table.name for table in metadata.sorted_tables)
        await connection.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))


async def _ensure_empty(connection: AsyncConnection) -> None:
    for table in metadata.sorted_tables:
        if table.name not in _MAY_HAVE_ROWS and await connection.scalar(select(func.count()).select_from(table)):
            raise FileError(
                f"the database is not empty: there are rows in {table.name}. An import fills a new database,"
                " and never changes one that is in use"
            )


def _portions(reader: Reader, table: TravellingTable, rows: int) -> Iterator[list[dict[str, Any]]]:
    portion: list[dict[str, Any]] = []
    size = 0
    for _ in range(rows):
        line = reader.line()
        try:
            portion.append(table.to_parameters(table.decode(line)))
        except UNREADABLE as error:
            raise FileError(f"line {reader.number}: no row of {table.name}: {error}") from error
        size += len(line)
        if len(portion) == _ROWS or size > _BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


async def _insert(
    connection: AsyncConnection, table: TravellingTable, portion: list[dict[str, Any]], last: int
) -> None:
    try:
        await connection.execute(insert(table.table), portion)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        said = str(error.orig).strip().splitlines()[0].rpartition(">: ")[2]
        raise FileError(f"line {last - len(portion) + 1} to {last} ({table.name}): {said}") from error
    except (SQLAlchemyError, OverflowError) as error:
        # A number that the database has no room for is refused by one driver itself.
        raise FileError(f"line {last - len(portion) + 1} to {last} ({table.name}): {error}") from error
