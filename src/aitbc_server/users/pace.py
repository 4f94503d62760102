"""Answering no sooner than after a while, so that how long the work took shows nothing (ASVS 6.3.8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

#: Well above what hashing a password and storing a few rows take, and short for somebody who waits for a mail anyway.
FLOOR_S = 0.3


@asynccontextmanager
async def no_sooner_than(floor_s: float) -> AsyncIterator[None]:
    """Leave the block no sooner than ``floor_s`` after it was entered, however it ends."""
    loop = asyncio.get_running_loop()
    until = loop.time() + floor_s
    try:
        yield
    finally:
        await asyncio.sleep(until - loop.time())
