"""How a committed change reaches the caches of every node before it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol


class Fences(Protocol):
    """Makes cached records of tenants stale, everywhere."""

    async def announce(self, tenant_ids: Iterable[str]) -> bool:
        """Called after the commit. True once no node answers from an older record; False where that is not sure yet."""
        ...


class LocalFences:
    """One process: its own cache forgets in place."""

    def __init__(self, drop: Dropper) -> None:
        self._drop = drop

    async def announce(self, tenant_ids: Iterable[str]) -> bool:
        """See ``Fences``. Takes effect before it returns."""
        self._drop(tenant_ids)
        return True


class SharedFences:
    """A node of a fleet: the tenants' fences in the shared store are made new, and every node compares them."""

    def __init__(self, raise_fences: Callable[[Iterable[str]], Awaitable[bool]], drop: Dropper) -> None:
        self._raise_fences = raise_fences
        self._drop = drop

    async def announce(self, tenant_ids: Iterable[str]) -> bool:
        """See ``Fences``. False where the store did not take it in time: any node does it from the outbox."""
        self._drop(tenant_ids)
        return await self._raise_fences(tenant_ids)


class Dropper(Protocol):
    """``CredentialCache.drop``."""

    def __call__(self, tenant_ids: Iterable[str]) -> None:
        """Forget every record that rests on these tenants."""
        ...
