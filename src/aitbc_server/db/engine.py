"""Connections: sessions that read, sessions that write, on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any, NamedTuple

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool

from aitbc_server.db.connecting import new_engine
from aitbc_server.db.patience import answered
from aitbc_server.db.point_reads import PointQuery, PointRow, PostgresPointReads, SqlitePointReads

BUSY_TIMEOUT_MS = 5000
#: What is asked for each request that a node knows nothing of yet, and takes PostgreSQL a millisecond, is unanswered by
#: then.
ANSWER_S = 2.0
#: Who waits for a connection that is free, or for a turn at one, gets it by then, or an answer.
POOL_TIMEOUT_S = 10.0
# A database that does not take a connection by then is away.
_CONNECT_S = 5
# PostgreSQL ends a statement itself, and says so; where nothing is heard for this much longer, it hangs.
_LATER_S = 1.0
# A statement that nobody waits for may take as long as it takes, but a database that never comes back ends it too.
_PATIENCE_S = 3600


class Tuning(NamedTuple):
    """Of PostgreSQL. ``connections``: at most so many at once. The timeouts are the database's own, 0 for none.

    Where there is a statement timeout, a statement ends soon after it also if the database hangs, with TimeoutError.
    """

    connections: int = 20
    statement_timeout_s: float = 0
    lock_timeout_s: float = 0


class Database:
    """Where sessions come from.

    SQLite allows one writer at a time: writes share one connection and queue for it in this process, so that
    they never meet SQLITE_BUSY, while any number of readers go on beside them (WAL).
    """

    def __init__(self, url: str | URL, tuning: Tuning | None = None) -> None:
        self.url = make_url(url)
        tuning = tuning or Tuning()
        #: At most so many at once, where the database is PostgreSQL.
        self.connections = tuning.connections
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._reader = _sqlite_engine(self.url, connections=4, begin="BEGIN")
            self._writer = _sqlite_engine(self.url, connections=1, begin="BEGIN IMMEDIATE")
            self._patient = self._writer
            self._points: SqlitePointReads | PostgresPointReads = SqlitePointReads(
                self.url, self._reader.dialect, busy_timeout_ms=BUSY_TIMEOUT_MS
            )
        else:
            self._reader = self._writer = _postgres_engine(self.url, tuning)
            self._patient = _patient_engine(self.url) if tuning.statement_timeout_s else self._writer
            self._points = PostgresPointReads(self._reader, answer_s=ANSWER_S)
        self._read_session = async_sessionmaker(self._reader, expire_on_commit=False)
        self._write_session = async_sessionmaker(self._writer, expire_on_commit=False)
        self._patient_session = async_sessionmaker(self._patient, expire_on_commit=False)

    @property
    def reader(self) -> AsyncEngine:
        """The engine whose transactions only read."""
        return self._reader

    @property
    def writer(self) -> AsyncEngine:
        """The engine that migrations run on."""
        return self._writer

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session on a fresh snapshot; what it changes is never committed."""
        async with self._read_session() as session:
            yield session

    @asynccontextmanager
    async def read_soon(self) -> AsyncIterator[AsyncSession]:
        """As ``read``, for what takes a moment. Raises TimeoutError where PostgreSQL takes longer than ``ANSWER_S``."""
        async with nullcontext() if self.is_sqlite else answered(ANSWER_S), self.read() as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A session that may commit; whatever is not committed at the end is rolled back."""
        async with self._write_session() as session:
            yield session

    @asynccontextmanager
    async def write_at_leisure(self) -> AsyncIterator[AsyncSession]:
        """As ``write``, on a connection of its own on PostgreSQL, where a statement may take an hour."""
        async with self._patient_session() as session:
            yield session

    async def ask(self, query: PointQuery, parameters: Mapping[str, Any]) -> Sequence[PointRow]:
        """The rows of a point query, as of now. Raises SQLAlchemyError or OSError where the database cannot tell."""
        return await self._points.ask(query, parameters)

    async def close(self) -> None:
        """Close every connection."""
        await self._points.close()
        await self._reader.dispose()
        await self._writer.dispose()
        await self._patient.dispose()


def _postgres_engine(url: URL, tuning: Tuning) -> AsyncEngine:
    kept = max(tuning.connections // 2, 1)
    engine = new_engine(
        url,
        pool_size=kept,
        max_overflow=tuning.connections - kept,
        pool_timeout=POOL_TIMEOUT_S,
        connect_args={
            "timeout": _CONNECT_S,
            "command_timeout": tuning.statement_timeout_s + _LATER_S if tuning.statement_timeout_s else None,
            # What has no limit is not said at all: some poolers take no settings.
            "server_settings": {
                name: str(round(timeout_s * 1000))
                for name, timeout_s in (
                    ("statement_timeout", tuning.statement_timeout_s),
                    ("lock_timeout", tuning.lock_timeout_s),
                )
                if timeout_s
            },
        },
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def ensure_it_lives(connection: Any, _record: Any, _proxy: Any) -> None:
        # The driver hears of a connection's end when it happens: to ask the server first would be a round trip more.
        if connection.driver_connection.is_closed():
            raise DisconnectionError

    return engine


def _patient_engine(url: URL) -> AsyncEngine:
    return new_engine(url, poolclass=NullPool, connect_args={"timeout": _CONNECT_S, "command_timeout": _PATIENCE_S})


def _sqlite_engine(url: URL, *, connections: int, begin: str) -> AsyncEngine:
    engine = new_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=connections,
        max_overflow=0,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # The driver's own transaction handling opens transactions too late for a consistent read: it is
        # switched off, and the "begin" listener below does it.
        connection.isolation_level = None
        cursor = connection.cursor()
        # FULL: what was answered 2xx survives a power cut too, not only a killed process.
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin_transaction(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
