"""Is the process alive, and may it be sent requests?"""

from __future__ import annotations

import logging
from typing import Protocol

import msgspec
from litestar import get
from litestar.di import NamedDependency
from sqlalchemy.exc import SQLAlchemyError

from aitbc._version import __version__
from aitbc_server.db import migrate
from aitbc_server.db.engine import ANSWER_S, Database
from aitbc_server.db.patience import answered
from aitbc_server.errors import Code, DomainError
from aitbc_server.gate.operations import Audience, Operation
from aitbc_server.stopping import Stopping
from aitbc_server.web.routing import for_operation

logger = logging.getLogger(__name__)

LIVE = Operation("health.live", audience=Audience.EVERYONE, api=True)
READY = Operation("health.ready", audience=Audience.EVERYONE, api=True)
VERSION = Operation("health.version", audience=Audience.EVERYONE, api=True)


class Health(msgspec.Struct):
    """``{"status": "ok"}``."""

    status: str = "ok"


class ReadyHealth(msgspec.Struct):
    """``{"status": "ok", "details": {"database": "up"}}``; ``degraded`` where the server goes on without something."""

    status: str
    details: dict[str, str]


class VersionedHealth(msgspec.Struct):
    """``{"status": "ok", "version": "0.1.0"}``."""

    status: str
    version: str


class StoreState(Protocol):
    """How the store is that nodes share."""

    @property
    def state(self) -> str:
        """up, hung or away."""
        ...


class Readiness:
    """Whether requests can be answered now.

    ``needs_store``: nothing is answered without the shared store.
    """

    def __init__(
        self, database: Database, stopping: Stopping, store: StoreState | None = None, *, needs_store: bool = False
    ) -> None:
        self._database = database
        self._stopping = stopping
        self._store = store
        self._needs_store = needs_store
        self._said_newer = False

    async def check(self) -> ReadyHealth:
        """How the server is, where it is ready. Raises ``unavailable`` that says what is missing.

        A node without its store is ready: the others are without it too, and requests have to go somewhere. So is one
        whose database a later release has migrated: while a fleet is updated, its old nodes go on until their turn.
        """
        if self._stopping.begun:
            raise _not_ready("The server is stopping.")
        try:
            async with answered(ANSWER_S):
                revision = await migrate.current_revision(self._database)
        except (SQLAlchemyError, OSError) as error:
            log = f"not ready: {str(error) or 'the database hangs'}"
            raise _not_ready("The database does not answer.", log=log) from error
        is_newer = migrate.is_newer(revision)
        if revision != migrate.HEAD and not is_newer:
            raise _not_ready("The database has another schema than this release needs.")
        details = {"database": "up"}
        if self._store is not None:
            details["store"] = self._store.state
        is_whole = all(state == "up" for state in details.values())
        if not is_whole and self._needs_store:
            raise _not_ready("The shared store does not answer, and AITBC_ON_STORE_FAILURE is deny.")
        if is_newer:
            self._say_newer(revision)
            details["schema"] = "newer"
        return ReadyHealth("ok" if is_whole else "degraded", details)

    def _say_newer(self, revision: str | None) -> None:
        if not self._said_newer:
            logger.warning(
                "the database's schema (%s) is a later release's (this one's is %s): the node goes on, and is to be"
                " updated soon",
                revision,
                migrate.HEAD,
            )
        self._said_newer = True


@get("/health/live", **for_operation(LIVE))
async def live() -> Health:
    """The process answers."""
    return Health()


@get("/health/ready", **for_operation(READY, errors=[Code.UNAVAILABLE]))
async def ready(readiness: NamedDependency[Readiness]) -> ReadyHealth:
    """The server can do its work: the database answers and has the right schema. Else 503.

    `details` says how the parts are that it works with: `up`, or for the `store` of a fleet `hung` (it does not answer
    in time) or `away` (there is no connection). Then `status` is `degraded`: the node keeps limits by itself.
    A `schema` that is `newer` is a later release's: the node goes on, and its update is due.
    """
    return await readiness.check()


@get("/v1/health", **for_operation(VERSION))
async def health() -> VersionedHealth:
    """The server answers, and which release it is."""
    return VersionedHealth(status="ok", version=__version__)


def _not_ready(detail: str, *, log: str | None = None) -> DomainError:
    return DomainError(Code.UNAVAILABLE, detail, log=log, headers={"retry-after": "1"})


ROUTES = [live, ready, health]
