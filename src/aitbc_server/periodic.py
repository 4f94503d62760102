"""Work that is done again and again beside the requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

logger = logging.getLogger(__name__)


@asynccontextmanager
async def repeating(
    step: Callable[[], Awaitable[None]], *, interval_s: float, name: str, expected: tuple[type[Exception], ...] = ()
) -> AsyncIterator[None]:
    """Run ``step`` every ``interval_s`` until the block is left; a step that fails is logged and tried again.

    What is ``expected``, such as a server that is away, is logged as one line without the place in the code.

    Leaving waits for the step at hand, so that nothing is cut in half. The last run is the caller's own affair.
    """
    stopping = asyncio.Event()

    async def loop() -> None:
        failing = False
        while not stopping.is_set():
            try:
                await step()
                failing = False
            except Exception as error:
                # One line for the first failure: a database that is away must not fill the log.
                if not failing and isinstance(error, expected):
                    logger.warning("%s waits, and is tried again every %g s: %s", name, interval_s, error)
                elif not failing:
                    logger.exception("%s failed; it is tried again every %g s", name, interval_s)
                failing = True
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), interval_s)

    task = asyncio.create_task(loop(), name=name)
    try:
        yield
    finally:
        stopping.set()
        await task
