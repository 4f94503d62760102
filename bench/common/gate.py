"""The gate in this process, over a seeded folder, with the parts that ``create_app`` gives it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.credentials.retagging import PepperRotation
from aitbc_server.api_keys.credentials.source import DatabaseCredentialSource
from aitbc_server.clock import system_clock
from aitbc_server.db.engine import Database
from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.decision import Facts
from aitbc_server.gate.gate import Gate
from aitbc_server.gate.guesses import GuessLimiter
from aitbc_server.gate.operations import Operation
from aitbc_server.gate.store_memory import MemoryStore
from aitbc_server.settings import Settings
from aitbc_server.usage.last_use import LastUses

#: What the requests ask for: any key may.
FACTS = Facts(Operation("api_keys.self", own_key=True), None, None, "127.0.0.1")


class Parts(NamedTuple):
    """The gate and what its memory is in."""

    gate: Gate
    cache: CredentialCache
    source: DatabaseCredentialSource
    store: MemoryStore
    counter: UsageCounter


@asynccontextmanager
async def gate_over(data_dir: Path) -> AsyncIterator[Parts]:
    """A gate whose cache and windows are empty."""
    settings = Settings(data_dir=data_dir)
    database = Database(settings.sqlalchemy_url)
    cache = CredentialCache()
    digests = SecretDigests(settings.load_secret_keys())
    source = DatabaseCredentialSource(database, digests, PepperRotation(database, digests), system_clock)
    counter = UsageCounter()
    store = MemoryStore(system_clock, counter)
    gate = Gate(
        source=source,
        store=store,
        cache=cache,
        guesses=GuessLimiter(settings.max_failures_per_minute),
        recorder=LastUses(database, system_clock),
        clock=system_clock,
    )
    try:
        yield Parts(gate, cache, source, store, counter)
    finally:
        await database.close()
