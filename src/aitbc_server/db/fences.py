"""How a committed change reaches the caches of every node before it is answered."""

from __future__ import annotations

from collections.abc import Iterable
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


class Dropper(Protocol):
    """``CredentialCache.drop``."""

    def __call__(self, tenant_ids: Iterable[str]) -> None:
        """Forget every record that rests on these tenants."""
        ...
