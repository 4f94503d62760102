"""The fences of a process beside the server or the fleet: how an operator's command knows that its change holds."""

from __future__ import annotations

import asyncio
import contextlib
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
_NO_ANSWER = "no answer came"


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
    a change has waited for ``timeout_s`` in which nothing went on, later ones look and wait no more.
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
        # The first that was pending at the last look, and the time limit: it begins anew as long as something goes on.
        self._first: int | None = None
        self._limit = asyncio.timeout(None)
        self.unconfirmed: Unconfirmed | None = None

    async def announce(self, tenant_ids: Iterable[str]) -> bool:
        """See ``Fences``. What was not confirmed before may be by now: the outbox has the earlier changes too."""
        async with self._database.read() as session:
            last_id = await outbox.last_id(session)
        is_patient = self.unconfirmed is None
        missing: Unconfirmed | None = Unconfirmed(self._waiting_for, _NO_ANSWER)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_s) as self._limit:
                # The rows of another process ring no bell here: one looks again.
                while (missing := await self._missing(last_id)) and is_patient:  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_EVERY_S if self._raise_fences is None else _RAISE_EVERY_S)
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
            return Unconfirmed(Waiting.STORE, _NO_ANSWER) if await self._is_pending(last_id) else None
        if await self._server_runs():
            return Unconfirmed(Waiting.SERVER)
        async with self._database.write() as session:
            await outbox.mark_all_drained(session, last_id, now(system_clock))
            await session.commit()
        return None

    async def _is_pending(self, last_id: int) -> bool:
        found = await self._database.ask(outbox.PENDING_UP_TO, {"last_id": last_id})
        first = found[0].id if found else None
        if first != self._first:
            self._first = first
            self._goes_on()
        return first is not None

    async def _raise(self, rows: Rows) -> None:
        assert self._raise_fences is not None
        await self._raise_fences({row.tenant_id for row in rows})
        self._goes_on()

    def _goes_on(self) -> None:
        self._limit.reschedule(asyncio.get_running_loop().time() + self._timeout_s)
