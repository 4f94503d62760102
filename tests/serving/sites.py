"""The gate on a port of this machine, for what only shows on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from tests.gate.served import Served

from aitbc_server.serving.listener import Listener, address_of, bind


class Site:
    """A served gate, and a client that may send anything."""

    def __init__(self, served: Served, port: int) -> None:
        self.served = served
        self.port = port

    async def raw(self, *pieces: bytes, pause_s: float = 0.0) -> bytes:
        """All that the server sends until it closes the connection, whatever becomes of the later pieces."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        sending = asyncio.create_task(_send(writer, pieces, pause_s))
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            sending.cancel()
            writer.close()

    async def ask(
        self, method: str = "GET", path: str = "/v1/jobs", headers: Iterable[bytes] = (), body: bytes = b""
    ) -> tuple[int, bytes]:
        """Status and everything after the status line."""
        lines = [b"%b %b HTTP/1.1" % (method.encode(), path.encode()), b"Host: localhost", b"Connection: close"]
        lines += [*headers, b"", body]
        answer = await self.raw(b"\r\n".join(lines))
        status, _, rest = answer.partition(b"\r\n")
        return int(status.split()[1]), rest


async def _send(writer: asyncio.StreamWriter, pieces: Iterable[bytes], pause_s: float) -> None:
    with suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)


@asynccontextmanager
async def serving(served: Served) -> AsyncIterator[Site]:
    """A server in this process; it stops with the block."""
    socket = bind("127.0.0.1", 0)
    port = address_of(socket)[1]
    listener = Listener(served.middleware, socket)
    task = asyncio.create_task(listener.serve())
    for _ in range(200):
        try:
            (await asyncio.open_connection("127.0.0.1", port))[1].close()
            break
        except OSError:
            await asyncio.sleep(0.02)
    yield Site(served, port)
    listener.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait_for(task, 10)
