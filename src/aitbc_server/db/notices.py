"""Short notices between the nodes on one PostgreSQL database: LISTEN and NOTIFY, on one connection a node.

They are told outside of any transaction, all that came up meanwhile in one statement, and reach the others in a
millisecond or two. One may be lost: with a node, with a connection, behind a pooler that shares connections between
transactions. So a notice may only say that something is worth a look that somebody takes later anyway.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from aitbc_server.db.connecting import new_engine

logger = logging.getLogger(__name__)

_CHANNEL = "aitbc_notices"
# PostgreSQL takes less than 8000 bytes in one; some of it is kept for what stands around the notices.
_MAX_BYTES = 7800
#: One notice that is longer could not be told at all.
MAX_NOTICE_BYTES = 7000
# What waits while the database is away is worth nothing later.
_MAX_WAITING = 10_000

_RECONNECT_S = 1.0
# A connection whose other end vanished says nothing: it is asked this often, and given so long for its answer.
_LOOK_EVERY_S = 15.0
_ANSWER_S = 5.0

# Nobody need find it again after a crash: not waiting for the disk is what makes it quick.
_SETUP = text("SET synchronous_commit = off")
_TELL = text("SELECT pg_notify(:channel, :notices)")

_decode = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Notices:
    """Tells other nodes, and hears from them; ``heard`` is called with each notice of another node, as JSON.

    ``is_connected``: whether notices come and go at the moment.
    """

    def __init__(self, url: URL, heard: Callable[[bytes], None]) -> None:
        self._engine = new_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self._heard = heard
        self._waiting: list[bytes] = []
        self._stir = asyncio.Event()
        self._lost = False
        self._own_pid = 0
        self.is_connected = False

    def tell(self, notice: bytes) -> None:
        """Tell every other node, soon. A text of JSON of ``MAX_NOTICE_BYTES`` at most; dropped while nobody listens."""
        if self.is_connected and len(self._waiting) < _MAX_WAITING:
            self._waiting.append(notice)
            self._stir.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connected, as far as that is possible, until the block is left."""
        task = asyncio.create_task(self._run(), name="notices between nodes")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self._engine.dispose()

    async def _run(self) -> None:
        said = False
        while True:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    connection = await self._connected()
                said = False
                try:
                    await self._serve(connection)
                finally:
                    self.is_connected = False
                    self._waiting.clear()
                    await _closed(connection)
            except (SQLAlchemyError, OSError) as error:
                if not said:
                    logger.warning(
                        "nodes hear of one another's jobs only when they look: %s", str(error) or "no answer in time"
                    )
                said = True
            await asyncio.sleep(_RECONNECT_S)

    async def _connected(self) -> AsyncConnection:
        connection = await self._engine.connect()
        try:
            await connection.execute(_SETUP)
            driver = await _driver(connection)
            self._lost = False
            self._own_pid = driver.get_server_pid()
            driver.add_termination_listener(self._on_lost)
            await driver.add_listener(_CHANNEL, self._on_notices)
        except BaseException:
            await _closed(connection)
            raise
        self.is_connected = True
        return connection

    async def _serve(self, connection: AsyncConnection) -> None:
        """Tell what comes up, until the connection is lost. Raises what the database raises."""
        while not self._lost:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stir.wait(), _LOOK_EVERY_S)
            self._stir.clear()
            waiting, self._waiting = self._waiting, []
            async with asyncio.timeout(_ANSWER_S):
                for notices in _packed(waiting):
                    await connection.execute(_TELL, {"channel": _CHANNEL, "notices": notices})
                if not waiting and not self._lost:
                    await connection.execute(text("SELECT 1"))

    def _on_lost(self, _connection: Any) -> None:
        self._lost = True
        self.is_connected = False
        self._stir.set()

    def _on_notices(self, _connection: Any, pid: int, _channel: str, payload: str) -> None:
        if pid == self._own_pid:
            return
        try:
            notices = _decode(payload)
        except msgspec.DecodeError:
            # A node of another release, or somebody who tries the channel by hand.
            logger.warning("a notice of another node cannot be read")
            return
        for notice in notices:
            self._heard(bytes(notice))


async def _driver(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


async def _closed(connection: AsyncConnection) -> None:
    """Let go of a connection that may be dead."""
    with suppress(SQLAlchemyError, OSError):
        await connection.invalidate()
        await connection.close()


def _packed(notices: Sequence[bytes]) -> Iterator[str]:
    """As few texts as hold them all, each short enough."""
    parts: list[bytes] = []
    size = 0
    for notice in notices:
        if size + len(notice) > _MAX_BYTES and parts:
            yield f"[{b','.join(parts).decode()}]"
            parts, size = [], 0
        parts.append(notice)
        size += len(notice) + 1
    if parts:
        yield f"[{b','.join(parts).decode()}]"
