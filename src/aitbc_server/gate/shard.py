"""One Valkey server that takes changes, as the store of the tenants that it has: the way to it, and if it hangs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aitbc_server.gate.store_valkey import TIMEOUT_S, ValkeyStore
from aitbc_server.gate.whose import OtherInstallationError
from aitbc_server.valkey import info
from aitbc_server.valkey.connection import Address, Connection, RefusedError
from aitbc_server.valkey.link import FAULTS, Link
from aitbc_server.valkey.probe import until_it_answers

logger = logging.getLogger(__name__)


#: Raises OtherInstallationError where the server at the connection's end is not ours, and as ``Connection.call``.
EnsureOurs = Callable[[Connection, Address], Awaitable[None]]


class Shard:
    """See the module. ``greeted`` is called for each new connection, before anybody asks on it.

    ``find`` and ``recheck_s`` are ``Link``'s; ``options`` are ``ValkeyStore``'s.
    """

    def __init__(
        self,
        find: Callable[[], Awaitable[Address]],
        greeted: Callable[[], None],
        *,
        ensure_ours: EnsureOurs,
        name: str = "Valkey",
        recheck_s: float | None = None,
        **options: Any,
    ) -> None:
        self._find = find
        self._address = Address()
        self._ensure_ours = ensure_ours
        self._greeted = greeted
        self._name = name
        self._link = Link(self._finding, self._greet, timeout_s=TIMEOUT_S, name=name, recheck_s=recheck_s)
        self.store = ValkeyStore(lambda: self._link.connection, aside=lambda: self._link.aside, **options)
        self._watching: asyncio.Task[None] | None = None

    @property
    def connection(self) -> Connection | None:
        """The connection of the moment."""
        return self._link.connection

    @property
    def aside(self) -> Connection | None:
        """The one for changes."""
        return self._link.aside

    @property
    def state(self) -> str:
        """up, hung (no answer in time) or away (no connection)."""
        if self._link.connection is None:
            return "away"
        return "hung" if self.store.hangs else "up"

    async def start(self) -> bool:
        """Connect, and keep on trying. Returns whether that was possible at once."""
        self._watching = asyncio.create_task(self._watch(), name=f"watching {self._name}")
        return await self._link.start()

    async def stop(self) -> None:
        """Leave it."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        await self._link.stop()

    def disconnect(self) -> None:
        """Leave the server; the next connection is greeted like any other."""
        for connection in (self.connection, self.aside):
            if connection is not None:
                connection.close()

    async def is_ours(self) -> bool:
        """Whether it is this installation's still, as far as the server can tell at the moment."""
        connection = self.connection
        if connection is None or self.store.hangs:
            return True
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._ensure_ours(connection, self._address)
        except OtherInstallationError:
            return False
        except FAULTS as error:
            logger.debug("%s does not say whose it is: %s", self._name, error)
        return True

    async def _finding(self) -> Address:
        self._address = await self._find()
        return self._address

    async def _greet(self, connection: Connection) -> None:
        await _ensure_keeps_all(connection)
        await self._ensure_ours(connection, self._address)
        await self.store.greet(connection)
        # What was known under another connection's tokens is not believed under this one.
        self._greeted()

    async def _watch(self) -> None:
        while True:
            await self.store.hung.wait()
            connection = self._link.connection
            logger.error("%s hangs: limits are kept by this node alone until it answers", self._name)
            if connection is not None and await until_it_answers(connection, timeout_s=TIMEOUT_S):
                logger.warning("%s answers again", self._name)
            self.store.hung.clear()


async def _ensure_keeps_all(connection: Connection) -> None:
    """Raises RefusedError for a server that may drop keys by itself, whenever it is met: limits and fences are keys."""
    policy = info.eviction(await info.read(connection, "memory"))
    if policy:
        raise RefusedError(f"its maxmemory-policy is {policy} and has to be noeviction")
