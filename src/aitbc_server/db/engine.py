"""Connections: sessions that read, sessions that write, on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

BUSY_TIMEOUT_MS = 5000


class Database:
    """Where sessions come from.

    SQLite allows one writer at a time: writes share one connection and queue for it in this process, so that
    they never meet SQLITE_BUSY, while any number of readers go on beside them (WAL).
    """

    def __init__(self, url: str | URL) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._reader = _sqlite_engine(self.url, connections=4, begin="BEGIN")
            self._writer = _sqlite_engine(self.url, connections=1, begin="BEGIN IMMEDIATE")
        else:
            self._reader = self._writer = create_async_engine(self.url, pool_size=10, pool_pre_ping=True)
        self._read_session = async_sessionmaker(self._reader, expire_on_commit=False)
        self._write_session = async_sessionmaker(self._writer, expire_on_commit=False)

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
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A session that may commit; whatever is not committed at the end is rolled back."""
        async with self._write_session() as session:
            yield session

    async def close(self) -> None:
        """Close every connection."""
        await self._reader.dispose()
        await self._writer.dispose()


def _sqlite_engine(url: URL, *, connections: int, begin: str) -> AsyncEngine:
    engine = create_async_engine(
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
