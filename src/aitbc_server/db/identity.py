"""Whether the database is still the one that was read: a node that runs on while a backup is restored must notice."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.exc import DBAPIError

from aitbc_server.db.engine import Database
from aitbc_server.db.point_reads import PointQuery
from aitbc_server.periodic import repeating

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0

# A tool that restores in place makes the tables first and fills them afterwards: what must be put right there is put
# right at once, and again at intervals that double, for 17 minutes.
_LAST_LOOK = 1024

# Another database under the name; another cluster; one that was put back in time, or a replica that took over; tables
# that were dropped, emptied or written anew in place. Some of it happens in good order, too: then what is known is read
# anew for nothing.
_TABLES = ("api_keys", "api_key_grants", "tenants", "plans")
_FILES: list[ColumnElement[Any]] = [
    *(func.pg_relation_filenode(name).label(name) for name in _TABLES),
    # A copy that was made by CREATE DATABASE ... TEMPLATE has the same files.
    literal_column("(SELECT oid FROM pg_database WHERE datname = current_database())").label("database"),
]
_CLUSTER: list[ColumnElement[Any]] = [
    literal_column("(SELECT system_identifier FROM pg_control_system())").label("cluster"),
    literal_column("(SELECT timeline_id FROM pg_control_checkpoint())").label("timeline"),
]
# Every node asks every second, be it idle.
_QUERIES = (PointQuery(select(*_FILES, *_CLUSTER)), PointQuery(select(*_FILES)))


class IdentityWatch:
    """Calls ``correct`` and then ``forget`` when PostgreSQL's database is not what it was at the last look.

    ``correct`` puts right in the new database what this node knows better, before keys are read from it anew. Where it
    raises, ``forget`` is called all the same, and the next look tries it again.
    """

    def __init__(
        self, database: Database, forget: Callable[[], None], correct: Callable[[], Awaitable[object]]
    ) -> None:
        self._database = database
        self._forget = forget
        self._correct = correct
        self._known: Any = None
        self._query = _QUERIES[0]
        # Looks since the database was replaced, while there may be something to put right.
        self._looks: int | None = None
        self._is_outdated = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look every second until the block is left; a file of SQLite is nobody's else while its server runs."""
        if self._database.is_sqlite:
            yield
            return
        async with repeating(self.look, interval_s=INTERVAL_S, name="looking whether the database was replaced"):
            yield

    async def look(self) -> None:
        """Look once. Raises what the database raises where it does not answer."""
        try:
            found = await self._identity()
        except DBAPIError as error:
            # Some installations let nobody see the cluster's data.
            if getattr(error.orig, "sqlstate", None) != "42501" or self._query is _QUERIES[1]:
                raise
            self._query = _QUERIES[1]
            found = await self._identity()
        if self._known not in {None, found}:
            logger.warning("the database was replaced or written anew: all that was known of keys is read again")
            self._looks, self._is_outdated = 0, True
        self._known = found
        if self._looks is not None:
            await self._put_right(self._looks)

    async def _put_right(self, looks: int) -> None:
        try:
            if looks & (looks - 1) == 0:
                await self._correct()
        finally:
            if self._is_outdated:
                self._forget()
                self._is_outdated = False
        self._looks = looks + 1 if looks < _LAST_LOOK else None

    async def _identity(self) -> tuple[Any, ...]:
        [found] = await self._database.ask(self._query, {})
        return tuple(found)
