"""What one call to the shared store carries: the requests of a turn, who waits for them, and what is answered."""

from __future__ import annotations

import asyncio
from typing import Any

from aitbc_server.gate import packing
from aitbc_server.gate.limiter import Verdict
from aitbc_server.gate.shared_store import Stale
from aitbc_server.gate.store import StoreUnavailableError, Taken


class Waiting:
    """One request of a batch. ``counted`` is there once it was given up: whether the store carried it out."""

    __slots__ = ("counted", "fenced", "future", "levels")

    def __init__(self, future: asyncio.Future[Taken | Stale], fenced: tuple[str, ...], levels: int) -> None:
        self.future = future
        self.fenced = fenced
        self.levels = levels
        self.counted: asyncio.Future[bool] | None = None

    def give_up_at(self, until_s: float) -> None:
        """Give it up by itself, before the others of its batch: it has waited before. See ``Batch.until_s``."""
        timer = self.future.get_loop().call_at(until_s, self.give_up, "the store did not answer in time")
        self.future.add_done_callback(lambda _: timer.cancel())

    def give_up(self, why: str) -> None:
        """The request goes on without the store, whose answer may still come."""
        if not self.future.done():
            self.counted = self.future.get_loop().create_future()
            self.future.set_exception(StoreUnavailableError(why, self.counted))

    def fail(self, why: str) -> None:
        """The store did nothing for it, or nobody will ever know."""
        if not self.future.done():
            self.future.set_exception(StoreUnavailableError(why))
        self.tell(counted=False)

    def tell(self, *, counted: bool) -> None:
        """What became of a request that was given up."""
        if self.counted is not None and not self.counted.done():
            self.counted.set_result(counted)


class Batch:
    """The requests of one turn of the event loop and one hash slot, as the script wants them.

    ``until_s`` is when they are given up, wherever they are sent meanwhile: a reading of the monotonic clock, which is
    the loop's too. The loop's own reading stands still while a long turn goes on.
    """

    def __init__(self, slot: int, until_s: float) -> None:
        self.slot = slot
        self.until_s = until_s
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
