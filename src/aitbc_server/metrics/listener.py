"""A listener that answers ``GET /metrics`` and nothing else, beside the server and apart from it. (ASVS 13.4.5)"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST

from aitbc_server.host_port import host_port
from aitbc_server.metrics.collector import Metrics
from aitbc_server.serving.errors import StartError
from aitbc_server.settings import reason

logger = logging.getLogger(__name__)

# Whoever scrapes needs one connection. More are hung up on, so that nobody can exhaust the server from here.
MAX_CONNECTIONS = 16
_MAX_HEAD_BYTES = 8192
_TIMEOUT_S = 5.0


@asynccontextmanager
async def listening(metrics: Metrics, host: str, port: int) -> AsyncIterator[None]:
    """Answer scrapes until the block is left. Raises StartError where the address cannot be listened on."""
    listener = _Listener(metrics)
    try:
        server = await asyncio.start_server(listener.serve, host, port, limit=_MAX_HEAD_BYTES)
    except OSError as error:
        raise StartError(
            f"metrics cannot be served on {host} port {port}: {reason(error)}",
            hint="choose another address with AITBC_METRICS_ADDRESS",
        ) from error
    bound = server.sockets[0].getsockname()[1]
    logger.info("metrics are served on %s", host_port(host, bound))
    try:
        yield
    finally:
        server.close()
        listener.hang_up()


class _Listener:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer, and the connection ends."""
        if len(self._open) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._answer(head))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # Too slow, too long or gone: there is nobody to tell.
            writer.transport.abort()
        finally:
            self._open.discard(writer)
            writer.close()

    def hang_up(self) -> None:
        """End what is open: the server stops."""
        for writer in list(self._open):
            with contextlib.suppress(OSError):
                writer.transport.abort()

    async def _answer(self, head: bytes) -> bytes:
        request = head.partition(b"\r\n")[0].split(b" ")
        if len(request) != 3 or request[1].partition(b"?")[0] != b"/metrics":
            return _whole("404 Not Found", b"There is only /metrics here.\n")
        if request[0] != b"GET":
            return _whole("405 Method Not Allowed", b"Only GET is answered here.\n", "Allow: GET\r\n")
        return _whole("200 OK", await self._metrics.text(), f"Content-Type: {CONTENT_TYPE_LATEST}\r\n")


def _whole(status: str, body: bytes, headers: str = "Content-Type: text/plain; charset=utf-8\r\n") -> bytes:
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
