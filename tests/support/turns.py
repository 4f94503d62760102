"""How long the event loop is held up, in time of this thread alone: what else the machine does is not counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_EVERY_S = 0.001


class Turns:
    """``longest_s``: what was worked at most between two moments at which anybody else could go on."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            begun_s = time.thread_time()
            await asyncio.sleep(_EVERY_S)
            self.longest_s = max(self.longest_s, time.thread_time() - begun_s)


@asynccontextmanager
async def watched_turns() -> AsyncIterator[Turns]:
    """Watch until the block is left."""
    turns = Turns()
    task = asyncio.create_task(turns.watch())
    await asyncio.sleep(0)
    try:
        yield turns
    finally:
        # One more, for what was worked last.
        await asyncio.sleep(2 * _EVERY_S)
        task.cancel()
