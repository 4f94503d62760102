"""Is the process alive, and may it be sent requests?"""

from __future__ import annotations

import msgspec
from litestar import get
from litestar.di import NamedDependency
from sqlalchemy.exc import SQLAlchemyError

from aitbc._version import __version__
from aitbc_server.db import migrate
from aitbc_server.db.engine import Database
from aitbc_server.errors import Code, DomainError
from aitbc_server.gate.operations import Operation
from aitbc_server.routing import for_operation
from aitbc_server.stopping import Stopping


class Health(msgspec.Struct):
    """``{"status": "ok"}``."""

    status: str = "ok"


class VersionedHealth(msgspec.Struct):
    """``{"status": "ok", "version": "0.1.0"}``."""

    status: str
    version: str


class Readiness:
    """Whether requests can be answered now."""

    def __init__(self, database: Database, stopping: Stopping) -> None:
        self._database = database
        self._stopping = stopping
        self._needed = migrate.HEAD

    async def check(self) -> None:
        """Return where the server is ready. Raises ``unavailable`` that says what is missing."""
        if self._stopping.begun:
            raise _not_ready("The server is stopping.")
        try:
            revision = await migrate.current_revision(self._database)
        except (SQLAlchemyError, OSError) as error:
            raise _not_ready("The database does not answer.", log=f"not ready: {error}") from error
        if revision != self._needed:
            raise _not_ready("The database has another schema than this release needs.")


@get("/health/live", **for_operation(Operation("health.live", public=True)))
async def live() -> Health:
    """The process answers."""
    return Health()


@get("/health/ready", **for_operation(Operation("health.ready", public=True), errors=[Code.UNAVAILABLE]))
async def ready(readiness: NamedDependency[Readiness]) -> Health:
    """The server can do its work: the database answers and has the right schema. Else 503."""
    await readiness.check()
    return Health()


@get("/v1/health", **for_operation(Operation("health.version", public=True)))
async def health() -> VersionedHealth:
    """The server answers, and which release it is."""
    return VersionedHealth(status="ok", version=__version__)


def _not_ready(detail: str, *, log: str | None = None) -> DomainError:
    return DomainError(Code.UNAVAILABLE, detail, log=log, headers={"retry-after": "1"})


ROUTES = [live, ready, health]
