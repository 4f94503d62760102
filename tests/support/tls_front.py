"""TLS in front of servers that cannot do it themselves, as the Valkey of the test's wheel."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from types import TracebackType

_TLS_HANDSHAKE = b"\x16"


class TlsFront:
    """Listens on a port for each server behind it, in a thread.

    Who speaks plainly is let through: that is how the servers speak to one another.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._ports: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[socket.socket] = []
        #: How many connections spoke TLS.
        self.secured = 0

    def __enter__(self) -> TlsFront:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def port(self, behind: int) -> int:
        """Where the server that listens on ``behind``, or will, is reached with TLS."""
        if behind not in self._ports:
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            self._listeners.append(listener)
            self._ports[behind] = listener.getsockname()[1]
            self._loop.call_soon_threadsafe(self._keep, self._accept(listener, behind))
        return self._ports[behind]

    def _keep(self, work: object) -> None:
        task: asyncio.Task[None] = self._loop.create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket, behind: int) -> None:
        while True:
            connection, _ = await self._loop.sock_accept(listener)
            self._keep(self._serve(connection, behind))

    async def _serve(self, connection: socket.socket, behind: int) -> None:
        with contextlib.suppress(OSError):
            try:
                is_tls = await self._first_byte(connection) == _TLS_HANDSHAKE
            except BaseException:
                connection.close()
                raise
            self.secured += is_tls
            near = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(near)
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self._context if is_tls else None
            )
            out = asyncio.StreamWriter(transport, protocol, near, self._loop)
            try:
                far, away = await asyncio.open_connection("127.0.0.1", behind)
                await asyncio.gather(_pump(near, away), _pump(far, out))
            finally:
                transport.abort()

    async def _first_byte(self, connection: socket.socket) -> bytes:
        readable = asyncio.Event()
        self._loop.add_reader(connection, readable.set)
        try:
            await readable.wait()
        finally:
            self._loop.remove_reader(connection)
        return connection.recv(1, socket.MSG_PEEK)

    async def _end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.close()
        # Connections that were ended let go of their sockets in the turns that follow.
        for _ in range(3):
            await asyncio.sleep(0)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()
