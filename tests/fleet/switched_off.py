"""The mechanisms of a fleet, each switched off by a plugin: what holds its promise must then be seen to fail.

TEST_SWITCHED_OFF=fences pytest tests/fleet/test_changes.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from tests.fleet.plugins import change_scripts, wrap

from aitbc_server import fleet
from aitbc_server.db.draining import OutboxDrainer
from aitbc_server.gate import store_valkey
from aitbc_server.gate.loads import TurnLoads
from aitbc_server.gate.store_memory import MemoryStore
from aitbc_server.jobs.sweeper import JobSweeper
from aitbc_server.usage.shared_counts import SharedCounts

#: A variable of the test run: the name of what is switched off.
VARIABLE = "TEST_SWITCHED_OFF"


def fences() -> None:
    """A change does not make its tenant's fence new."""

    async def raised(_: Any, __: Iterable[str]) -> bool:
        return True

    wrap(fleet.SharedStore, "raise_fences", lambda _: raised)


def outbox() -> None:
    """Nobody drains the fence outbox."""

    async def nothing(_: Any) -> None:
        """Leave it."""

    wrap(OutboxDrainer, "drain", lambda _: nothing)


def fresh_reads() -> None:
    """A node without the store believes what it read of a key once."""
    known: dict[bytes, Any] = {}

    def loading(load: Any) -> Any:
        async def loaded(self: Any, text: bytes) -> Any:
            if text not in known:
                known[text] = await load(self, text)
            return known[text]

        return loaded

    wrap(TurnLoads, "load", loading)


def eviction() -> None:
    """Entries leave their window too early."""
    change_scripts(r"(WINDOW_US\b[^=\n]*= )", r"\g<1>0.9 * ")


def admission() -> None:
    """Entries leave their window too late."""
    change_scripts(r"(WINDOW_US\b[^=\n]*= )", r"\g<1>1.1 * ")


def deadlines() -> None:
    """A call counts however late it is carried out."""
    change_scripts("now_us > deadline_us", "false")


def timeouts() -> None:
    """A request waits for the store for seconds."""

    def looking(_: Any) -> Any:
        def patient(store: Any, batch: Any) -> None:
            batch.timer = asyncio.get_running_loop().call_later(3, store._give_up, batch)

        return patient

    wrap(store_valkey.ValkeyStore, "_look_once_more", looking)


def last_look() -> None:
    """A node that was held up does not read what has arrived before it gives up."""
    give_up = vars(store_valkey.ValkeyStore)["_give_up"]
    wrap(store_valkey.ValkeyStore, "_look_once_more", lambda _: give_up)


def own_limits() -> None:
    """A node without the store lets everything pass."""
    wrap(MemoryStore, "take_uncounted", lambda take: lambda *arguments: take(*arguments[:-1], 0))


def draining() -> None:
    """Counts stay in the store."""

    async def nothing(*_: Any) -> None:
        """Leave them."""

    wrap(SharedCounts, "drain", lambda _: nothing)


def sweeping() -> None:
    """Nobody takes a job back from a miner that gives no sign of life."""

    async def nothing(_: Any) -> None:
        """Leave it."""

    wrap(JobSweeper, "step", lambda _: nothing)
