"""The way between two programs, through this process: it may be cut, or lose what is sent, and mended again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Cable:
    """Passes on what comes to ``port``, in both directions."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._whole = True
        self._moving = asyncio.Event()
        self._moving.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None] | None] = set()
        self.port = 0

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[Cable]:
        """Usable until the block is left."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.cut()
            server.close()
            # Whoever was just let in closes what it has opened before the event loop ends.
            while self._passing:  # noqa: ASYNC110 - it takes a turn or two
                await asyncio.sleep(0)

    def cut(self) -> None:
        """Every connection ends, and each new one does at once."""
        self._whole = False
        self._moving.set()
        for writer in self._writers:
            writer.close()

    def freeze(self) -> None:
        """Connections stay, and nothing moves on them."""
        self._moving.clear()

    def mend(self) -> None:
        """As if nothing had been."""
        self._whole = True
        self._moving.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._passing.add(task)
        try:
            await self._connect(reader, writer)
        finally:
            writer.close()
            self._passing.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._to_port)
        self._writers |= {writer, back}
        self._end_if_cut()
        with contextlib.suppress(OSError):
            await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))
        self._writers -= {writer, back}
        back.close()

    def _end_if_cut(self) -> None:
        """It may have been while the way on was opened."""
        if not self._whole:
            self.cut()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._moving.wait()
            writer.write(data)
        writer.close()
