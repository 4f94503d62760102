"""One query that is asked again and again, without what an ORM's session does around it.

Its text is made once for each kind of database. PostgreSQL is asked on a connection of the pool, outside of a
transaction, with the driver's prepared statement: one round trip. SQLite is asked on a connection of its own, on a
thread of its own: one way there and back instead of one for each step. A single statement sees one moment, either way.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Dialect, SelectBase
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from aitbc_server.db.patience import answered

#: A row: its values by the names of the query's columns.
PointRow = Any


class PointQuery:
    """A query and, for each kind of database, its text and the order of its parameters."""

    def __init__(self, query: SelectBase) -> None:
        self._query = query
        self._texts: dict[str, tuple[str, list[str], dict[str, Any]]] = {}
        kind: Any = namedtuple("PointRow", [each.key for each in query.selected_columns])  # type: ignore[misc]
        self.row: Callable[[Iterable[Any]], PointRow] = kind._make

    def on(self, dialect: Dialect, parameters: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """Its text for the driver, and the values in its order."""
        known = self._texts.get(dialect.name)
        if known is None:
            compiled = self._query.compile(dialect=dialect)
            known = str(compiled), list(compiled.positiontup or ()), dict(compiled.params)
            self._texts[dialect.name] = known
        text, names, values = known
        return text, [parameters[name] if name in parameters else values[name] for name in names]


class PostgresPointReads:
    """On the engine's pool. Whoever has no answer after ``answer_s``, waiting for a connection included, gets none."""

    def __init__(self, engine: AsyncEngine, *, answer_s: float) -> None:
        self._engine = engine
        self._answer_s = answer_s

    async def ask(self, query: PointQuery, parameters: Mapping[str, Any]) -> Sequence[PointRow]:
        """The rows. Raises SQLAlchemyError or OSError where the database cannot tell."""
        import asyncpg  # type: ignore[import-untyped]

        text, values = query.on(self._engine.dialect, parameters)
        async with answered(self._answer_s), self._engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                rows = await driver.fetch(text, *values)
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                await connection.invalidate()
                raise OperationalError(text, None, error) from error
            except BaseException:
                # Given up in the middle: whoever took the connection next would get this answer.
                await connection.invalidate()
                raise
        return [query.row(row) for row in rows]

    async def close(self) -> None:
        """Nothing is held."""


class SqlitePointReads:
    """On a thread that does nothing else."""

    def __init__(self, url: URL, dialect: Dialect, *, busy_timeout_ms: int) -> None:
        self._path = url.database or ""
        self._dialect = dialect
        self._busy_timeout_ms = busy_timeout_ms
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="point-reads")
        self._connection: sqlite3.Connection | None = None

    async def ask(self, query: PointQuery, parameters: Mapping[str, Any]) -> Sequence[PointRow]:
        """The rows. Raises SQLAlchemyError where the database cannot tell."""
        text, values = query.on(self._dialect, parameters)
        try:
            rows = await asyncio.get_running_loop().run_in_executor(self._thread, self._rows, text, values)
        except sqlite3.Error as error:
            raise OperationalError(text, None, error) from error
        return [query.row(row) for row in rows]

    async def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _rows(self, text: str, values: Sequence[Any]) -> list[Any]:
        if self._connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=self._busy_timeout_ms / 1000)
            connection.execute("PRAGMA query_only = ON")
            self._connection = connection
        return self._connection.execute(text, values).fetchall()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
