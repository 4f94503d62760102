"""The mechanisms of a fleet, each switched off by a plugin: what holds its promise must then be seen to fail.

TEST_SWITCHED_OFF=fences pytest tests/fleet/test_changes.py

That is for real servers. As a plugin of pytest it is for nodes and stores in the tests' own process too:

TEST_SWITCHED_OFF=connections pytest -p tests.fleet.switched_off tests/valkey/test_store_comes_back.py
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Any

from tests.fleet.plugins import change_scripts, wrap

from aitbc_server import fleet
from aitbc_server.api_keys.credentials.source import DatabaseCredentialSource
from aitbc_server.db.draining import OutboxDrainer
from aitbc_server.gate import limiter, store_valkey
from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.loads import SourceUnavailableError, TurnLoads
from aitbc_server.gate.shard import Shard
from aitbc_server.gate.store_memory import MemoryStore
from aitbc_server.idempotency.service import IdempotencyKeys
from aitbc_server.jobs.sweeper import JobSweeper
from aitbc_server.usage.shared_counts import SharedCounts

#: A variable of the test run: the name of what is switched off.
VARIABLE = "TEST_SWITCHED_OFF"

#: So long a key is known without ``cached_keys``.
_KNOWN_S = 0.2


def named() -> list[Callable[[], None]]:
    """What the variable names."""
    return [globals()[name] for name in os.environ.get(VARIABLE, "").split()]


def pytest_configure() -> None:
    """See the module."""
    for switch_off in named():
        switch_off()


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


def feed() -> None:
    """A node does not drop what the fence outbox says has changed."""

    def beginning(begin: Any) -> Any:
        def begun(drainer: Any, database: Any, _drop: Any, *more: Any) -> None:
            begin(drainer, database, lambda _: None, *more)

        return begun

    wrap(OutboxDrainer, "__init__", beginning)


def replicas() -> None:
    """A change does not wait until replicas have its fence."""

    async def nobody_waits(_: Any, __: Any) -> bool:
        return True

    wrap(store_valkey.ValkeyStore, "is_on_replicas", lambda _: nobody_waits)


def unconfirmed() -> None:
    """A change whose fence the store did not take is answered as if it had."""

    def raising(raise_fences: Any) -> Any:
        async def raised(self: Any, tenant_ids: Iterable[str]) -> bool:
            await raise_fences(self, tenant_ids)
            return True

        return raised

    wrap(fleet.SharedStore, "raise_fences", raising)


def connections() -> None:
    """A node goes on believing what it knew when its connection to the store is a new one."""

    def beginning(begin: Any) -> Any:
        def begun(shard: Any, find: Any, _greeted: Any, **options: Any) -> None:
            begin(shard, find, lambda: None, **options)

        return begun

    wrap(Shard, "__init__", beginning)


def questions() -> None:
    """A question that was made under one connection is sent on another."""

    def sending(send: Any) -> Any:
        def sent(store: Any, batch: Any, **options: Any) -> None:
            batch.under = store._connection()
            send(store, batch, **options)

        return sent

    wrap(store_valkey.ValkeyStore, "send", sending)


def missing_fences() -> None:
    """A fence that the store does not have is taken for the one that a node has."""
    change_scripts(r"open_tenant\(fenced\)\[FENCE\] ~= token", r"stored[fenced] and \g<0>")


def tickets() -> None:
    """A record that was read before a drop is kept after it."""
    wrap(CredentialCache, "put", lambda put: lambda cache, digest, found, _: put(cache, digest, found, cache.drops))


def cached_keys() -> None:
    """A key in use is read anew all the time."""

    def putting(put: Any) -> Any:
        def forgotten(cache: Any, digest: bytes, credential: Any, ticket: int) -> Any:
            asyncio.get_running_loop().call_later(_KNOWN_S, cache.drop, [credential.record.tenant.id])
            return put(cache, digest, credential, ticket)

        return forgotten

    wrap(CredentialCache, "put", putting)


def lookups() -> None:
    """A key that cannot be looked up is taken for one that does not exist."""

    def loading(load: Any) -> Any:
        async def loaded(self: Any, text: bytes) -> Any:
            try:
                return await load(self, text)
            except SourceUnavailableError:
                return None

        return loaded

    wrap(DatabaseCredentialSource, "load", loading)


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


def one_too_many() -> None:
    """The script lets one more in than the limit says."""
    change_scripts("return deficit > 0 and", "return deficit > 1 and")


def one_too_few() -> None:
    """The script refuses one that there is room for."""
    change_scripts("return deficit > 0 and", "return deficit > -1 and")


def one_too_many_in_memory() -> None:
    """The store of a single process lets one more in than the limit says."""

    def checking(check: Any) -> Any:
        def checked(log: Any, now_us: int, limit: int, cost: int) -> Any:
            verdict, lenient = (check(log, now_us, most, cost) for most in (limit, limit + 1))
            return lenient if lenient.allowed and not verdict.allowed else verdict

        return checked

    wrap(limiter, "check", checking)


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


def counts_of_the_dead() -> None:
    """Nobody looks for counts that a node left in the store when it died."""

    async def nothing(_: Any) -> None:
        """Leave them."""

    wrap(SharedCounts, "sweep", lambda _: nothing)


def idempotency() -> None:
    """A creation that is asked for again is done again."""

    async def unknown(*_: Any) -> None:
        """Nothing was made before."""

    wrap(IdempotencyKeys, "claim", lambda _: unknown)


def sweeping() -> None:
    """Nobody takes a job back from a miner that gives no sign of life."""

    async def nothing(_: Any) -> None:
        """Leave it."""

    wrap(JobSweeper, "step", lambda _: nothing)
