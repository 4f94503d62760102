"""What a node shares with the other nodes of its fleet: the store, the fences, the counts."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.fence_book import FenceBook
from aitbc_server.gate.shard import Shard
from aitbc_server.gate.shared_store import SharedLimits
from aitbc_server.gate.store import StoreUnavailableError
from aitbc_server.gate.store_cluster import ClusterStore
from aitbc_server.gate.store_valkey import TIMEOUT_S
from aitbc_server.gate.whose import Whose
from aitbc_server.periodic import repeating
from aitbc_server.valkey import urls
from aitbc_server.valkey.connection import Address
from aitbc_server.valkey.sentinel import RECHECK_S, Sentinels
from aitbc_server.valkey.urls import Target

logger = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 1.0


class SharedStore:
    """The store, the way to it, and what is believed under its fences. Nothing is opened before ``running``.

    ``installation_id`` reads which installation the database is. A store that is another one's counts as away.
    """

    def __init__(self, url: str, cache: CredentialCache, installation_id: Callable[[], Awaitable[str]]) -> None:
        self._installation_id = installation_id
        self._whose = Whose()
        self.fences = FenceBook(cache)
        target = urls.parse(url)
        self._sentinels = Sentinels(target, timeout_s=TIMEOUT_S) if target.kind == "sentinel" else None
        self._way: Shard | ClusterStore
        self.store: SharedLimits
        if target.kind == "cluster":
            self._way = self.store = ClusterStore(target, self.fences.forget, self._whose.ensure_ours)
        else:
            self._way = Shard(
                self._finder(target),
                self.fences.forget,
                ensure_ours=self._whose.ensure_ours,
                recheck_s=RECHECK_S if self._sentinels else None,
            )
            self.store = self._way.store

    @property
    def state(self) -> str:
        """up, hung (no answer in time) or away (no connection); on a cluster the worst of its masters."""
        return self._way.state

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connected, as far as that is possible, until the block is left. Raises what ``installation_id`` raises."""
        self._whose.installation_id = await self._installation_id()
        if not await self._way.start() and isinstance(self._way, ClusterStore):
            # A single server's link has said so itself.
            logger.error("Valkey does not answer: limits are kept by this node alone until it does")
        try:
            async with repeating(self._look, interval_s=_LOOK_INTERVAL_S, name="looking whose the store is"):
                yield
        finally:
            await self._way.stop()
            if self._sentinels is not None:
                self._sentinels.close()

    async def ensure_ours(self) -> None:
        """The database was replaced: maybe by another installation's. Raises what ``installation_id`` raises."""
        self._whose.installation_id = await self._installation_id()
        await self._look()

    async def _look(self) -> None:
        """Leave a store that is not ours any more: emptied, and then another installation's, it ends no connection."""
        if not await self._way.is_ours():
            self._way.disconnect()

    async def raise_fences(self, tenant_ids: Iterable[str]) -> bool:
        """Make the tenants' fences new. False where the store, or one of its replicas, did not take it in time."""
        try:
            return await self.store.raise_fences(tenant_ids)
        except StoreUnavailableError as error:
            logger.warning("a change is in effect on every node only after a moment: %s", error)
            return False

    async def raise_or_fail(self, tenant_ids: Iterable[str]) -> None:
        """As ``raise_fences``; raises StoreUnavailableError, for whoever tries again."""
        if not await self.store.raise_fences(tenant_ids):
            raise StoreUnavailableError("not every replica has the new fences")

    def _finder(self, target: Target) -> Callable[[], Awaitable[Address]]:
        if self._sentinels is not None:
            return self._sentinels.master

        async def only() -> Address:
            return target.seeds[0]

        return only
