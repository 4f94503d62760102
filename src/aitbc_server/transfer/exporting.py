"""Write an installation into a file, as it stands at one moment; servers may go on meanwhile."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import IO

import msgspec
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from aitbc_server.clock import Clock, now
from aitbc_server.db import migrate
from aitbc_server.db.engine import Database
from aitbc_server.db.unit_of_work import faults
from aitbc_server.errors import conflict
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.transfer.lines import Header, Section, Writer, header_line
from aitbc_server.transfer.tables import TABLES

# A job may have a megabyte: so many rows at a time, that memory is bounded.
_ROWS = 100


async def export(database: Database, secret_keys: SecretKeys, file: IO[bytes], clock: Clock) -> Header:
    """Write everything that travels; what was written. Memory does not grow with the number of rows.

    Raises DomainError where the database does not answer, or has more than this release knows of, and OSError of the
    file alone.
    """
    writer = Writer(file, secret_keys)
    async with aclosing(_everything(database, clock)) as portions:
        first = await anext(portions)
        writer.write(first)
        async for portion in portions:
            writer.write(portion)
    header = msgspec.json.decode(first[0], type=Header)
    writer.end(sum(header.rows.values()))
    return header


async def _everything(database: Database, clock: Clock) -> AsyncGenerator[list[bytes]]:
    """The header's line, then all others, some at a time."""
    # Around what is read alone: what becomes of the lines is not the database's fault.
    with faults():
        revision = await migrate.current_revision(database)
        if revision != migrate.HEAD:
            raise conflict(
                f"The database's schema ({revision}) is newer than this release ({migrate.HEAD}), which would leave out"
                " what it does not know of: export with the newer release."
            )
        async with _snapshot(database) as connection:
            rows = {}
            for table in TABLES:
                rows[table.name] = (await connection.scalar(select(func.count()).select_from(table.table))) or 0
            yield [header_line(migrate.HEAD, now(clock).text(), rows)]
            for table in TABLES:
                yield [msgspec.json.encode(Section(table.name, table.columns))]
                async with connection.stream(table.everything.execution_options(yield_per=_ROWS)) as result:
                    async for portion in result.partitions():
                        yield [table.to_line(row) for row in portion]


@asynccontextmanager
async def _snapshot(database: Database) -> AsyncIterator[AsyncConnection]:
    """A transaction that sees one moment from its begin to its end. SQLite's do that anyway."""
    engine = database.reader
    if not database.is_sqlite:
        engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    async with engine.connect() as connection:
        if not database.is_sqlite:
            # To count or sort a large table takes as long as it takes.
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
        yield connection
