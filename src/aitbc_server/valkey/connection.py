"""One connection to Valkey on which any number of calls are under way, answered in their order.

The parser and the packer are hiredis; what stands around them costs a quarter of what a whole client takes for a call
(docs/adr/0011), and no call waits for a connection of a pool.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from typing import Any, NamedTuple, cast

import hiredis

Argument = str | bytes | int

# A connection on which nothing passes is asked about so often, and ended when so many questions in a row had no answer.
# Firewalls forget idle connections after minutes, without telling either side.
_IDLE_S, _ASK_EVERY_S, _ASK_TIMES = 15, 5, 3
# What each system calls these; it has defaults, of hours, for what it does not know.
_KEEP_ALIVE = (
    ("TCP_KEEPIDLE", _IDLE_S),
    ("TCP_KEEPALIVE", _IDLE_S),
    ("TCP_KEEPINTVL", _ASK_EVERY_S),
    ("TCP_KEEPCNT", _ASK_TIMES),
)

#: The kind of error with which a replica answers changes.
READ_ONLY = "READONLY"


class Address(NamedTuple):
    """Where a Valkey server listens, and as whom to speak to it. ``path``, a socket file, goes before host and port."""

    host: str = "127.0.0.1"
    port: int = 6379
    path: str | None = None
    username: str | None = None
    password: str | None = None
    database: int = 0
    tls: ssl.SSLContext | None = None

    @property
    def name(self) -> str:
        """What people are told of it."""
        return self.path or f"{self.host}:{self.port}"


class ConnectionLostError(Exception):
    """The connection ended before the answer came: whether the call was carried out is not known."""


class RefusedError(Exception):
    """The server answered with an error; its first word is the kind."""

    @property
    def kind(self) -> str:
        """Such as NOSCRIPT, MOVED or LOADING."""
        return str(self).partition(" ")[0]


class Connection(asyncio.Protocol):
    """See the module. ``lost`` is done when the connection has ended."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()

    def call(self, *parts: Argument) -> asyncio.Future[Any]:
        """Send a command now. The future ends with its answer, RefusedError or ConnectionLostError."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._transport is None or self._transport.is_closing():
            future.set_exception(ConnectionLostError("the connection is closed"))
            return future
        self._waiting.append(future)
        self._transport.write(hiredis.pack_command(parts))  # type: ignore[arg-type]
        return future

    def close(self) -> None:
        """End the connection; what waits for an answer gets ConnectionLostError."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        # uvloop's transports are of the kind without being of the class.
        self._transport = cast("asyncio.Transport", transport)
        _keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not False:
                self._answered(answer)
        except hiredis.ProtocolError:
            # Whatever speaks there is no Valkey, or half of an answer is missing: nothing after it can be believed.
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(ConnectionLostError(str(exc or "the server closed the connection")))
                # Nobody may be waiting for it any more.
                future.exception()
        if not self.lost.done():
            self.lost.set_result(None)

    def _answered(self, answer: Any) -> None:
        future = self._waiting.popleft()
        if future.done():
            return
        if isinstance(answer, hiredis.ReplyError):
            error = RefusedError(str(answer))
            future.set_exception(error)
            future.exception()
            if error.kind == READ_ONLY:
                # The master has become a replica: whoever keeps this connection must look for the new one.
                self.close()
        else:
            future.set_result(answer)


async def connect(address: Address, *, timeout_s: float) -> Connection:
    """An open connection that has signed in. Raises OSError, TimeoutError, RefusedError and ConnectionLostError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout_s):
        if address.path is not None:
            _, connection = await loop.create_unix_connection(Connection, address.path, ssl=address.tls)
        else:
            try:
                _, connection = await loop.create_connection(Connection, address.host, address.port, ssl=address.tls)
            except UnicodeError as error:
                # A sentinel or a cluster may name such a host too.
                raise OSError(f"no host has the name {address.host!r}") from error
        try:
            await _sign_in(connection, address)
        except BaseException:
            connection.close()
            raise
    return connection


def _keep_alive(ends: socket.socket) -> None:
    if ends.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    ends.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if hasattr(socket, name):
            ends.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _sign_in(connection: Connection, address: Address) -> None:
    if address.password is not None:
        await connection.call("AUTH", *filter(None, [address.username]), address.password)
    if address.database:
        await connection.call("SELECT", address.database)
    await connection.call("CLIENT", "SETNAME", "aitbc")
