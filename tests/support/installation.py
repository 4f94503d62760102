"""A whole server in this process that contract tests ask everything of, and the list of its routes."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import httpx2
from sqlalchemy import update
from tests.usage.world import Clock, Key, World, _lifespan

from aitbc import keyformat
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.app import create_app
from aitbc_server.db import migrate
from aitbc_server.db.engine import Database
from aitbc_server.gate.asgi import GateMiddleware
from aitbc_server.gate.operations import Route
from aitbc_server.settings import Settings
from aitbc_server.tenants.model import PlanRow

#: The tenants of every installation here.
HOME, STRANGER, SUSPENDED = "acme", "globex", "closed"
ROOMY = 1_000_000

_TEMPLATE: list[bytes] = []


@cache
def routes() -> tuple[Route, ...]:
    """Every route of the server, as the gate knows it: the API's and the dashboard's pages."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data_dir=Path(folder)))
    assert isinstance(app, GateMiddleware)
    return app._operations.routes


def api_routes() -> list[Route]:
    """The routes of the API."""
    return [route for route in routes() if not route.operation.page]


def page_routes() -> list[Route]:
    """The pages of the dashboard, and where their forms go."""
    return [route for route in routes() if route.operation.page]


def identifiers(path: str) -> Iterator[str]:
    """The names of a path's parameters."""
    for segment in path.split("/"):
        if segment.startswith("{"):
            yield segment[1:-1]


class Installation(World):
    """An installation with three tenants, one of them suspended, on a plan that does not run out."""

    app: GateMiddleware

    @asynccontextmanager
    async def client(self, address: str = "192.0.2.1") -> AsyncIterator[httpx2.AsyncClient]:
        """A started server, and a client that speaks to it from ``address``; failures come back as answers."""
        app = create_app(self.settings, self.clock)
        assert isinstance(app, GateMiddleware)
        self.app = app
        async with _lifespan(app, killed=False):
            transport = httpx2.ASGITransport(app=app, client=(address, 1234), raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
                yield client

    async def add_previous_secret(self, key: Key, tenant_id: str, *, ends_in_s: int) -> Key:
        """The same key with an older secret, in its grace period until then."""
        parts = keyformat.parse(key.text)
        assert parts is not None
        older = keyformat.KeyParts(parts.environment, parts.kid, keyformat.random_base62(43))
        ends_us = self.clock() + ends_in_s * 1_000_000
        values = {
            "previous_digest": self.digest(older, tenant_id),
            "previous_pepper_version": self._digests.newest,
            "previous_expires_at": Clock(ends_us).timestamp(),
        }
        async with self.database.write() as session:
            await session.execute(update(ApiKeyRow).where(ApiKeyRow.kid == key.kid).values(**values))
            await session.commit()
        return Key(key.id, keyformat.build(*older))


async def _migrated() -> bytes:
    """A migrated database, made once: the migrations have tests of their own."""
    if not _TEMPLATE:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "aitbc.db"
            database = Database(f"sqlite+aiosqlite:///{file}")
            await migrate.upgrade(database)
            await database.close()
            _TEMPLATE.append(file.read_bytes())
    return _TEMPLATE[0]


@asynccontextmanager
async def installed(folder: Path) -> AsyncIterator[Installation]:
    """A fresh installation on SQLite with its tenants."""
    file = folder / "aitbc.db"
    file.write_bytes(await _migrated())
    database = Database(f"sqlite+aiosqlite:///{file}")
    try:
        installation = Installation(database, folder, Clock())
        async with database.write() as session:
            await session.execute(update(PlanRow).where(PlanRow.id == "enterprise").values(limit_per_minute=ROOMY))
            await session.commit()
        for tenant, suspended in ((HOME, False), (STRANGER, False), (SUSPENDED, True)):
            await installation.add_tenant(tenant, suspended=suspended)
        yield installation
    finally:
        await database.close()
