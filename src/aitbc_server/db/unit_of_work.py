"""One unit of work: a change, its audit row and its fence-outbox row, committed before the answer exists."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.clock import Clock
from aitbc_server.db import outbox
from aitbc_server.db.engine import POOL_TIMEOUT_S, Database
from aitbc_server.db.fences import Fences
from aitbc_server.errors import Code, DomainError

# PostgreSQL's words for what is not our mistake and passes: a deadlock, a wait that took too long (for a lock, or for
# the end of the statement), a server that has no room, that stops or that starts.
_PASSING = frozenset({"40001", "40P01", "53300", "55P03", "57014", "57P01", "57P02", "57P03"})


#: ``RevocationFile.note``.
NoteEnded = Callable[[Collection[str]], Awaitable[None]]


class UnitOfWork:
    """A transaction that knows whose cached records it makes stale.

    Whoever changes something calls ``commit`` before answering; leaving without it rolls everything back.
    """

    def __init__(self, session: AsyncSession, fences: Fences, note_ended: NoteEnded | None = None) -> None:
        self.session = session
        self._fences = fences
        self._note_ended = note_ended
        self._stale: set[str] = set()
        self._ended: set[str] = set()

    def makes_stale(self, *tenant_ids: str) -> None:
        """Records that rest on these tenants must be read anew once this is committed."""
        self._stale.update(tenant_ids)

    def ends(self, kid: str) -> None:
        """This key is over for good: that must outlive the database's last backup."""
        self._ended.add(kid)

    async def commit(self) -> bool:
        """Commit, then announce. True: in effect on every node. False: committed, and soon in effect."""
        await outbox.append(self.session, self._stale)
        # Whatever fails up to here has failed for sure.
        await self.session.flush()
        with _outcome_unknown():
            await self.session.commit()
        if self._ended and self._note_ended is not None:
            await self._note_ended(self._ended)
        stale, self._stale = self._stale, set()
        return await self._fences.announce(stale) if stale else True


class _Turns:
    """How many connections one kind of work may hold at once; the rest of it waits here, and not in front of others.

    Half of the readers, and the one writer of SQLite for a transaction at a time; a fifth of PostgreSQL's connections
    for either.
    """

    def __init__(self, database: Database) -> None:
        share = max(database.connections // 5, 1)
        reads, writes = (2, 1) if database.is_sqlite else (share, share)
        # A turn of SQLite's is over soon. On PostgreSQL, which may hang, it is as with the pool's connections.
        self.timeout_s = None if database.is_sqlite else POOL_TIMEOUT_S
        self.reads = asyncio.Semaphore(reads)
        self.writes = asyncio.Semaphore(writes)

    @asynccontextmanager
    async def one_of(self, turns: asyncio.Semaphore) -> AsyncIterator[None]:
        """Hold a turn. Raises TimeoutError where none comes in time."""
        async with asyncio.timeout(self.timeout_s):
            await turns.acquire()
        try:
            yield
        finally:
            turns.release()


class UnitsOfWork:
    """Opens units of work and read sessions; the one thing that services need of the database.

    Neither is to be opened inside another one: who holds a connection and waits for one can block everybody.
    """

    def __init__(
        self,
        database: Database,
        fences: Fences,
        clock: Clock,
        turns: _Turns | None = None,
        note_ended: NoteEnded | None = None,
    ) -> None:
        """``note_ended``: what becomes of the kids of keys that were ended, once that is committed."""
        self._database = database
        self._fences = fences
        self._turns = turns
        self._note_ended = note_ended
        self.clock = clock

    def in_turns(self) -> UnitsOfWork:
        """The same, for work of which there is so much at times that other work must not wait behind all of it."""
        return UnitsOfWork(self._database, self._fences, self.clock, _Turns(self._database), self._note_ended)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        """A unit of work. A database that is away becomes ``unavailable``; nothing is half done."""
        with faults():
            async with AsyncExitStack() as stack:
                if self._turns is not None:
                    await stack.enter_async_context(self._turns.one_of(self._turns.writes))
                session = await stack.enter_async_context(self._database.write())
                yield UnitOfWork(session, self._fences, self._note_ended)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session that only reads."""
        with faults():
            async with AsyncExitStack() as stack:
                if self._turns is not None:
                    await stack.enter_async_context(self._turns.one_of(self._turns.reads))
                yield await stack.enter_async_context(self._database.read())


@contextmanager
def faults() -> Iterator[None]:
    """A database that is away, locked, full or broken becomes ``unavailable``; a mistake of ours stays what it is."""
    try:
        yield
    except (InterfaceError, OperationalError, PoolTimeoutError, OSError) as error:
        raise _unavailable(error) from error
    except DBAPIError as error:
        if error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _PASSING:
            raise _unavailable(error) from error
        raise


@contextmanager
def _outcome_unknown() -> Iterator[None]:
    """Where the database was asked to commit and said nothing, it may have done so, or do it when it goes on."""
    try:
        yield
    except (DBAPIError, OSError) as error:
        if isinstance(error, DBAPIError) and not error.connection_invalidated:
            raise
        raise _unavailable(error, "It was not heard whether the change was made: look before you try again.") from error


def _unavailable(error: Exception, what: str = "Nothing was changed; try again shortly.") -> DomainError:
    return DomainError(
        Code.UNAVAILABLE,
        f"The database does not answer at the moment. {what}",
        log=f"database: {str(error) or 'no turn at it in time'}",
        headers={"retry-after": "1"},
    )
