"""The Valkey store as the tests of all stores want it: with their clock, and counts to compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.gate.factories import FakeClock
from tests.gate.stores_under_test import Counted

from aitbc_server.gate.limiter import Verdict
from aitbc_server.gate.records import LimitSet, UsageId
from aitbc_server.gate.shared_store import Question, Stale
from aitbc_server.gate.store import Taken
from aitbc_server.gate.store_valkey import ValkeyStore
from aitbc_server.valkey.connection import Address, Connection, connect

_NOW = "test:now"
_PRELUDE = f"local now_us = tonumber(redis.call('GET', '{_NOW}'))\n"


class ValkeyUnderTest:
    """Tells the server the test's time before each call, and learns fences as a gate does."""

    def __init__(self, connection: Connection, store: ValkeyStore) -> None:
        self.clock = FakeClock()
        self.store: Any = self
        self._connection = connection
        self._valkey = store
        self._tokens: dict[str, str] = {}

    async def take(
        self, tenant_id: str, limit_set: LimitSet, cost: int, usage_id: UsageId, operation: str, outcome: str
    ) -> Taken:
        """See ``Store.take``."""
        self._connection.call("SET", _NOW, self.clock.now_us)
        concerned = {tenant_id, *(limit.tenant_id for limit in limit_set.limits if limit.tenant_id)}
        while True:
            fences = {each: self._tokens.get(each, "") for each in concerned}
            taken = await self._valkey.take(Question(tenant_id, limit_set, cost, usage_id, operation, outcome, fences))
            if not isinstance(taken, Stale):
                return taken
            self._tokens.update(taken.tokens)

    async def look(self, tenant_id: str, limit_set: LimitSet) -> tuple[Verdict, ...]:
        """See ``Store.look``."""
        self._connection.call("SET", _NOW, self.clock.now_us)
        return await self._valkey.look(tenant_id, limit_set)

    async def counts(self) -> Counted:
        """See ``StoreUnderTest``."""
        counts: Counted = Counter()
        for tenant_id, drained in (await self._valkey.drain(dict.fromkeys(self._tokens, ()))).items():
            for each in drained:
                for field, count in each.fields.items():
                    environment, kid, operation, outcome = field.split("|")
                    counts[(tenant_id, environment, kid), operation, outcome] += count
        return counts


@asynccontextmanager
async def valkey_under_test(address: Address) -> AsyncIterator[ValkeyUnderTest]:
    """A store on an empty server."""
    connection = await connect(address, timeout_s=5)
    try:
        await connection.call("FLUSHALL")
        # The test's time jumps: no call is ever late.
        store = ValkeyStore(lambda: connection, prelude=_PRELUDE, timeout_s=1e9)
        await store.greet(connection)
        yield ValkeyUnderTest(connection, store)
    finally:
        connection.close()
        await connection.lost
