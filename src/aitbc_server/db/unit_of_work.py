"""One unit of work: a change, its audit row and its fence-outbox row, committed before the answer exists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.clock import Clock
from aitbc_server.db import outbox
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import Fences
from aitbc_server.errors import Code, DomainError


class UnitOfWork:
    """A transaction that knows whose cached records it makes stale.

    Whoever changes something calls ``commit`` before answering; leaving without it rolls everything back.
    """

    def __init__(self, session: AsyncSession, fences: Fences) -> None:
        self.session = session
        self._fences = fences
        self._stale: set[str] = set()

    def makes_stale(self, *tenant_ids: str) -> None:
        """Records that rest on these tenants must be read anew once this is committed."""
        self._stale.update(tenant_ids)

    async def commit(self) -> bool:
        """Commit, then announce. True: in effect on every node. False: committed, and soon in effect."""
        await outbox.append(self.session, self._stale)
        await self.session.commit()
        stale, self._stale = self._stale, set()
        return await self._fences.announce(stale) if stale else True


class UnitsOfWork:
    """Opens units of work and read sessions; the one thing that services need of the database."""

    def __init__(self, database: Database, fences: Fences, clock: Clock) -> None:
        self._database = database
        self._fences = fences
        self.clock = clock

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        """A unit of work. A database that is away becomes ``unavailable``; nothing is half done."""
        with_session = self._database.write()
        with _faults():
            async with with_session as session:
                yield UnitOfWork(session, self._fences)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session that only reads."""
        with _faults():
            async with self._database.read() as session:
                yield session


@contextmanager
def _faults() -> Iterator[None]:
    """A database that is away, locked, full or broken is told from a mistake of ours, which stays what it is."""
    try:
        yield
    except (InterfaceError, OperationalError, PoolTimeoutError, OSError) as error:
        raise _unavailable(error) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise _unavailable(error) from error
        raise


def _unavailable(error: Exception) -> DomainError:
    return DomainError(
        Code.UNAVAILABLE,
        "The database does not answer at the moment. Nothing was changed; try again shortly.",
        log=f"database: {error}",
        headers={"retry-after": "1"},
    )
