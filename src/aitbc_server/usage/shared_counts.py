"""From the store that nodes share to the database: counts are cumulative there, so that any node may store them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import takewhile
from time import monotonic
from typing import Any

from aitbc_server.clock import Clock, from_ms
from aitbc_server.db.engine import Database
from aitbc_server.gate.counter import MINUTE_US
from aitbc_server.gate.numbers import NodeNumbers
from aitbc_server.gate.shared_store import Counts, SharedLimits
from aitbc_server.gate.store import StoreUnavailableError
from aitbc_server.periodic import repeating
from aitbc_server.portions import portions
from aitbc_server.usage.storing import minute_row, store

logger = logging.getLogger(__name__)

DRAIN_INTERVAL_S = 1.0
# Draining must not crowd out what it counts: neither store nor event loop is held for more than some milliseconds, then
# for several times as long nothing is drained. Who does not come up in a round is first in the next one.
TENANTS_A_CALL = 100
_ROUND_S = 1.0
_REST_FACTOR = 4
# A database that hung made one call long: nobody was crowded out then, and a stop waits for this rest.
_LONGEST_REST_S = 1.0
# What a node that died has counted and not stored is in the store for two days.
SWEEP_INTERVAL_S = 3600.0
_SWEEP_REST_S = 0.05
# A count of an earlier minute may still be raised by a call that is on its way.
_SETTLED_US = 2 * MINUTE_US
_AT_THE_END_S = 1.5


class SharedCounts:
    """Stores what this node's requests have counted, and, at its start and every hour, what nodes that died left."""

    def __init__(
        self, store: SharedLimits, database: Database, clock: Clock, numbers: NodeNumbers | None = None
    ) -> None:
        self._store = store
        self._database = database
        self._clock = clock
        self._numbers = numbers
        # What the database has of each tenant, by when it was looked at last. When its minutes are over, the store
        # is told to forget them.
        self._stored: dict[str, list[Counts]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Drain until the block is left, then once more."""
        sweeping = asyncio.create_task(self._keep_sweeping(), name="looking for usage counts of nodes that died")
        try:
            async with repeating(self.drain_round, interval_s=DRAIN_INTERVAL_S, name="storing shared usage counts"):
                yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping
        try:
            async with asyncio.timeout(_AT_THE_END_S):
                await self.drain(list(self._store.touched))
        except Exception as error:
            logger.warning("usage counts stay in the store for other nodes: %s", str(error) or "the database hangs")

    async def drain_round(self) -> None:
        """Drain those tenants that have waited longest."""
        waiting = list(dict.fromkeys([*self._store.touched, *self._over()]))
        end_s = monotonic() + _ROUND_S
        try:
            for chunk in portions(waiting, TENANTS_A_CALL):
                began_s = monotonic()
                if began_s > end_s:
                    return
                await self.drain(chunk)
                await asyncio.sleep(min((monotonic() - began_s) * _REST_FACTOR, _LONGEST_REST_S))
        except StoreUnavailableError:
            # The log has it already, from whoever watches the store.
            logger.debug("the store is away: its counts are drained when it is back")

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                await self.sweep()
            except StoreUnavailableError:
                await asyncio.sleep(DRAIN_INTERVAL_S)
            else:
                await asyncio.sleep(SWEEP_INTERVAL_S)

    async def sweep(self) -> None:
        """Put everybody in line of whom the store has something. Raises StoreUnavailableError."""
        async for tenant_ids in self._store.tenants():
            self._store.touched.update(dict.fromkeys(each for each in tenant_ids if each not in self._stored))
            await asyncio.sleep(_SWEEP_REST_S)

    def _over(self) -> Iterator[str]:
        """Tenants of whom the store has nothing but what is over, and stored. Those looked at first are due first."""
        before_us = self._clock() - _SETTLED_US
        return takewhile(
            lambda tenant_id: any(each.minute_us < before_us for each in self._stored[tenant_id]), list(self._stored)
        )

    async def drain(self, tenant_ids: Iterable[str]) -> None:
        """Store everything that is counted for these tenants. Raises StoreUnavailableError, and for the database."""
        for chunk in portions(tenant_ids, TENANTS_A_CALL):
            for tenant_id in chunk:
                self._store.touched.pop(tenant_id, None)
            try:
                await self._drain(chunk)
            except BaseException:
                self._store.touched.update(dict.fromkeys(chunk))
                raise

    async def _drain(self, tenant_ids: Iterable[str]) -> None:
        before_us = self._clock() - _SETTLED_US
        known = {each: self._stored.get(each, ()) for each in tenant_ids}
        drained = await self._store.drain(
            {tenant_id: [each for each in counts if each.minute_us < before_us] for tenant_id, counts in known.items()}
        )
        rows = [row for tenant_id, counts in drained.items() for row in _rows(tenant_id, counts, known[tenant_id])]
        await store(self._database, rows)
        if self._numbers is not None:
            self._numbers.rows_drained += len(rows)
        for tenant_id, counts in drained.items():
            self._stored.pop(tenant_id, None)
            if counts:
                self._stored[tenant_id] = counts


def _rows(tenant_id: str, counts: Iterable[Counts], known: Iterable[Counts]) -> Iterator[dict[str, Any]]:
    """What the database does not have yet."""
    stored = {(each.minute_us, each.run): each.fields for each in known}
    for each in counts:
        before = stored.get((each.minute_us, each.run), {})
        for field, count in each.fields.items():
            if before.get(field) != count:
                yield _row(tenant_id, each, field, count)


def _row(tenant_id: str, counts: Counts, field: str, count: int) -> dict[str, Any]:
    environment, kid, operation, outcome = field.split("|")
    minute = from_ms(counts.minute_us // 1000)
    return minute_row(counts.run, minute, tenant_id, environment, kid, operation, outcome, count)
