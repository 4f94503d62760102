"""The fences of a process beside the server or the fleet: how an operator's command knows that its change holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from enum import Enum
from typing import NamedTuple

from aitbc_server.clock import now, system_clock
from aitbc_server.db import outbox
from aitbc_server.db.draining import Raiser, Rows, finish
from aitbc_server.db.engine import Database
from aitbc_server.gate.store import StoreUnavailableError

_LOOK_EVERY_S = 0.02
_RAISE_EVERY_S = 0.1
_TOO_MUCH = "there is more of it than can be told in that time"


class Waiting(Enum):
    """For whom a change waits."""

    SERVER = "the one server of the database"
    STORE = "the store that the nodes of a fleet share"


class Unconfirmed(NamedTuple):
    """For whom the changes wait, and what is known of the reason."""

    waiting_for: Waiting
    reason: str = ""


class OutsideFences:
    """A process beside the server or the fleet: it waits until the outbox is drained up to its own change.

    One server drains it by itself. Where none runs there is no cache to forget anything, and the rows are noted as
    drained here. Of a fleet (``raise_fences``) this process drains it as any node does, and nodes do so meanwhile: what
    counts is that somebody could tell the store.

    ``unconfirmed`` says what was missing when it was last looked for; None where every change so far is in effect. Once
    a change has waited ``timeout_s`` in vain, later ones look and wait no more.
    """

    def __init__(
        self,
        database: Database,
        server_runs: Callable[[], Awaitable[bool]],
        raise_fences: Raiser | None = None,
        *,
        timeout_s: float = 10.0,
    ) -> None:
        self._database = database
        self._server_runs = server_runs
        self._raise_fences = raise_fences
        self._timeout_s = timeout_s
        self._waiting_for = Waiting.SERVER if raise_fences is None else Waiting.STORE
        self.unconfirmed: Unconfirmed | None = None

    async def announce(self, tenant_ids: Iterable[str]) -> bool:
        """See ``Fences``. What was not confirmed before may be by now: the outbox has the earlier changes too."""
        async with self._database.read() as session:
            last_id = await outbox.last_id(session)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + (self._timeout_s if self.unconfirmed is None else 0)
        missing: Unconfirmed | None = Unconfirmed(self._waiting_for, _TOO_MUCH)
        try:
            async with asyncio.timeout(self._timeout_s):
                # The rows of another process ring no bell here: one looks again.
                while (missing := await self._missing(last_id)) and loop.time() < until_s:  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_EVERY_S if self._raise_fences is None else _RAISE_EVERY_S)
        except TimeoutError:
            # The last look did not end.
            pass
        self.unconfirmed = missing
        return missing is None

    async def _missing(self, last_id: int) -> Unconfirmed | None:
        """What something up to ``last_id`` waits for. Where this process can do without, it makes it so."""
        if not await self._is_pending(last_id):
            return None
        if self._raise_fences is not None:
            try:
                await finish(self._database, system_clock, self._raise)
            except StoreUnavailableError as error:
                return Unconfirmed(Waiting.STORE, str(error))
            # What a node is noting as drained at this moment was left to it.
            return Unconfirmed(Waiting.STORE, _TOO_MUCH) if await self._is_pending(last_id) else None
        if await self._server_runs():
            return Unconfirmed(Waiting.SERVER)
        async with self._database.write() as session:
            await outbox.mark_all_drained(session, last_id, now(system_clock))
            await session.commit()
        return None

    async def _is_pending(self, last_id: int) -> bool:
        return bool(await self._database.ask(outbox.PENDING_UP_TO, {"last_id": last_id}))

    async def _raise(self, rows: Rows) -> None:
        assert self._raise_fences is not None
        await self._raise_fences({row.tenant_id for row in rows})
