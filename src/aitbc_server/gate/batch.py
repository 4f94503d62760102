"""What one call to the shared store carries: the requests of a turn, who waits for them, and what is answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aitbc_server.gate import packing
from aitbc_server.gate.limiter import Verdict
from aitbc_server.gate.shared_store import Stale
from aitbc_server.gate.store import StoreUnavailableError, Taken
from aitbc_server.valkey.connection import Connection

logger = logging.getLogger(__name__)

#: Takes what becomes of a request, once.
Tell = Callable[[Taken | Stale | StoreUnavailableError], None]


class Waiting:
    """One request of a batch. ``counted`` is there once it was given up: whether the store carried it out."""

    __slots__ = ("_tell", "_timer", "counted", "fenced", "levels")

    def __init__(self, tell: Tell, fenced: tuple[str, ...], levels: int) -> None:
        self._tell: Tell | None = tell
        self._timer: asyncio.TimerHandle | None = None
        self.fenced = fenced
        self.levels = levels
        self.counted: asyncio.Future[bool] | None = None

    def give_up_at(self, until_s: float) -> None:
        """Give it up by itself, before the others of its batch: it has waited before. See ``Batch.until_s``."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(until_s, self.give_up, "the store did not answer in time")

    def answer(self, answer: Taken | Stale, *, counted: bool) -> None:
        """The store's answer has come, which nobody waits for where the request was given up."""
        self._end(answer)
        self._settle(counted=counted)

    def give_up(self, why: str) -> None:
        """The request goes on without the store, whose answer may still come."""
        if self._tell is not None:
            self.counted = asyncio.get_running_loop().create_future()
            self._end(StoreUnavailableError(why, self.counted))

    def fail(self, why: str) -> None:
        """The store did nothing for it, or nobody will ever know."""
        self._end(StoreUnavailableError(why))
        self._settle(counted=False)

    def _end(self, answer: Taken | Stale | StoreUnavailableError) -> None:
        tell, self._tell = self._tell, None
        if tell is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        try:
            tell(answer)
        except Exception:
            # The others of the batch have their answers all the same.
            logger.exception("an answer of the store could not be handed over")

    def _settle(self, *, counted: bool) -> None:
        if self.counted is not None and not self.counted.done():
            self.counted.set_result(counted)


class Batch:
    """The requests of one turn of the event loop and one hash slot, as the script wants them.

    ``until_s`` is when they are given up, wherever they are sent meanwhile: a reading of the monotonic clock, which is
    the loop's too. The loop's own reading stands still while a long turn goes on. ``under`` is the connection by which
    the tokens in the questions came, None where there was none: on another one they prove nothing.
    """

    def __init__(self, slot: int, until_s: float, under: Connection | None = None) -> None:
        self.slot = slot
        self.until_s = until_s
        self.under = under
        self.keys: dict[str, int] = {}
        self.requests: list[bytes] = []
        self.counted: dict[str, None] = {}
        self.waiting: list[Waiting] = []
        self.timer: asyncio.TimerHandle | None = None

    def index(self, key: str) -> int:
        """The key's number, from 1, for the script."""
        return self.keys.setdefault(key, len(self.keys) + 1)

    def fail(self, why: str) -> None:
        """Nothing of it was done, or nobody will ever know."""
        for waiting in self.waiting:
            waiting.fail(why)

    def be_asked_again(self) -> None:
        """Nothing of it was done: each asks once more, with what is believed by now."""
        for waiting in self.waiting:
            waiting.answer(Stale({}), counted=False)


async def answer_to(ask: Callable[[Tell], object]) -> Taken | Stale:
    """What is told to whoever asks, for those who await it."""
    future: asyncio.Future[Taken | Stale] = asyncio.get_running_loop().create_future()

    def tell(answer: Taken | Stale | StoreUnavailableError) -> None:
        if future.done():
            # Whoever asked was cancelled.
            return
        if isinstance(answer, StoreUnavailableError):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    ask(tell)
    return await future


def read(waiting: Waiting, values: list[Any], at: int) -> tuple[Taken | Stale, int]:
    """What is answered to it, and where the next answer begins."""
    kind = values[at]
    at += 1
    if kind == packing.ALLOWED and waiting.levels == 1:
        # Nearly every answer is of this kind.
        return Taken(True, (Verdict(True, values[at], values[at + 1], 0),), 0), at + 2
    if kind == packing.STALE:
        tokens = dict(zip(waiting.fenced, values[at:], strict=False))
        return Stale(tokens), at + len(tokens)
    retry_us = 0
    if kind != packing.ALLOWED:
        retry_us = values[at]
        at += 1
    end = at + 2 * waiting.levels
    allowed = kind == packing.ALLOWED
    levels = tuple(Verdict(allowed, values[each], values[each + 1], retry_us) for each in range(at, end, 2))
    return Taken(allowed, levels, retry_us), end
