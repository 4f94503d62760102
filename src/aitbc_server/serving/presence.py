"""Who serves a database: the folder's lock tells for SQLite, an advisory lock in the database itself for PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import NullPool

from aitbc_server.db.connecting import new_engine
from aitbc_server.db.engine import Database
from aitbc_server.periodic import repeating
from aitbc_server.serving.errors import StartError
from aitbc_server.serving.folder import is_served

logger = logging.getLogger(__name__)

# Any two numbers that no other program uses in our database: "aitb", "c".
_KEYS = {"a": 0x61697462, "b": 0x63}
_CHECK_INTERVAL_S = 1.0
_PATIENCE_S = 2.0
_CONNECT_S = 5.0

_TAKE = text("SELECT pg_try_advisory_lock(:a, :b)")
_TAKE_SHARED = text("SELECT pg_try_advisory_lock_shared(:a, :b)")
_IS_TAKEN = text(
    "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2"
    " AND classid = :a AND objid = :b"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
)


async def server_runs(database: Database, folder: Path) -> bool:
    """Whether a server serves this database now."""
    if database.is_sqlite:
        return is_served(folder)
    async with database.read() as session:
        return bool(await session.scalar(_IS_TAKEN, _KEYS))


@asynccontextmanager
async def holding(database: Database, *, in_fleet: bool) -> AsyncIterator[None]:
    """Be the one server of a PostgreSQL database until the block is left, or one of its fleet.

    A server that shares nothing keeps limits and cached keys in its own memory: beside another one on the same database
    twice as much would get through, and it would not hear of a revoked key. Raises StartError where there is another.
    On SQLite its folder is locked already.
    """
    if database.is_sqlite:
        yield
        return
    lock = _AdvisoryLock(database.url, shared=in_fleet)
    try:
        if not await lock.take():
            if in_fleet:
                raise StartError(
                    "a server without AITBC_VALKEY_URL is running on this PostgreSQL database",
                    hint="it would hear of no change that this one makes: stop it, or set AITBC_VALKEY_URL for it too",
                )
            raise StartError(
                "another server is running on this PostgreSQL database",
                hint="several servers on one database need Valkey: set AITBC_VALKEY_URL for all, or stop the other one",
            )
        async with repeating(lock.keep, interval_s=_CHECK_INTERVAL_S, name="holding the database for this server"):
            yield
    finally:
        await lock.close()


class _AdvisoryLock:
    """A lock that lives as long as its connection, on a connection of its own; ``shared`` ones stand beside others."""

    def __init__(self, url: URL, *, shared: bool) -> None:
        self._take = _TAKE_SHARED if shared else _TAKE
        self._engine: AsyncEngine = new_engine(
            url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={"timeout": _CONNECT_S, "command_timeout": _PATIENCE_S},
        )
        self._connection: AsyncConnection | None = None

    async def take(self) -> bool:
        """Whether the lock is ours now."""
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self._engine.connect())
            if not await connection.scalar(self._take, _KEYS):
                return False
            self._connection = connection
            stack.pop_all()
        return True

    async def keep(self) -> None:
        """Look whether the connection lives; where it died with the database, take the lock again."""
        # A database that hangs must not hold up the stop, which waits for this.
        async with asyncio.timeout(_PATIENCE_S):
            await self._keep()

    async def _keep(self) -> None:
        if self._connection is not None:
            try:
                await self._connection.scalar(text("SELECT 1"))
            except (SQLAlchemyError, OSError):
                connection, self._connection = self._connection, None
                await connection.invalidate()
                await connection.close()
        if self._connection is None and not await self.take():
            logger.error("another server has taken this database over: stop one of the two")

    async def close(self) -> None:
        """Let go."""
        if self._connection is not None:
            await self._connection.close()
        await self._engine.dispose()
