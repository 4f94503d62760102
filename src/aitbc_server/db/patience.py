"""How long an answer is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# To read what has arrived takes a turn or two of the event loop.
_TO_READ_S = 0.05


@asynccontextmanager
async def answered(within_s: float) -> AsyncIterator[None]:
    """Raises TimeoutError where what the block waits for has not arrived by then.

    Where this process was held up itself, timers are due before anybody has read what came meanwhile: that is first.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as bound:
        due = loop.call_later(within_s, lambda: bound.reschedule(loop.time() + _TO_READ_S))
        try:
            yield
        finally:
            due.cancel()
