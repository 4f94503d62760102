"""How a committed change reaches the caches of every node before it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from aitbc_server.clock import now, system_clock
from aitbc_server.db import outbox
from aitbc_server.db.engine import Database


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
    """A node of a fleet: the tenants' fences in the shared store are made new, and every node compares them.

    ``confirmed`` is False once the store did not take one in time.
    """

    def __init__(self, raise_fences: Callable[[Iterable[str]], Awaitable[bool]], drop: Dropper) -> None:
        self._raise_fences = raise_fences
        self._drop = drop
        self.confirmed = True

    async def announce(self, tenant_ids: Iterable[str]) -> bool:
        """See ``Fences``. False where the store did not take it in time: any node does it from the outbox."""
        self._drop(tenant_ids)
        raised = await self._raise_fences(tenant_ids)
        self.confirmed = self.confirmed and raised
        return raised


class OutsideFences:
    """A process beside the server: it waits until the server has drained the outbox.

    Where no server runs there is no cache to forget anything, and the rows are noted as drained here. ``confirmed`` is
    False once a running server has not answered in time.
    """

    def __init__(
        self, database: Database, server_runs: Callable[[], Awaitable[bool]], *, timeout_s: float = 10.0
    ) -> None:
        self._database = database
        self._server_runs = server_runs
        self._timeout_s = timeout_s
        self.confirmed = True

    async def announce(self, tenant_ids: Iterable[str]) -> bool:
        """See ``Fences``."""
        async with self._database.read() as session:
            last_id = await outbox.last_id(session)
        try:
            async with asyncio.timeout(self._timeout_s):
                # The rows of another process ring no bell here: one looks again.
                while not await self._is_drained(last_id):  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            self.confirmed = False
        return self.confirmed

    async def _is_drained(self, last_id: int) -> bool:
        """Whether nothing up to ``last_id`` is pending any more; with no server running, this makes it so."""
        async with self._database.read() as session:
            ids = [row.id for row in await outbox.pending(session) if row.id <= last_id]
        if not ids:
            return True
        if await self._server_runs():
            return False
        async with self._database.write() as session:
            await outbox.mark_drained(session, ids, now(system_clock))
            await session.commit()
        return True


_LOOK_EVERY_S = 0.02


class Dropper(Protocol):
    """``CredentialCache.drop``."""

    def __call__(self, tenant_ids: Iterable[str]) -> None:
        """Forget every record that rests on these tenants."""
        ...
