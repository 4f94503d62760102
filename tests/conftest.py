"""Fixtures for the whole suite: real databases, fresh for each test."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from tests import garbage
from tests.measured import Tracing
from tests.support.postgres import PostgresServer, get_server, run_sql
from tests.support.valkey import ValkeyProcess

from aitbc_server.db import migrate
from aitbc_server.db.engine import Database

# Days that have a table of their own are those of whatever time the test before lived in.
_EMPTY = """
SET lock_timeout = '5s';
SELECT 'DROP TABLE ' || string_agg(quote_ident(tablename), ', ')
    FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE 'usage_minutes_d________' \\gexec
SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ') || ' RESTART IDENTITY CASCADE'
    FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'installation') \\gexec
INSERT INTO plans (id, name, limit_per_minute) VALUES
    ('free', 'Free', 60), ('pro', 'Pro', 600), ('enterprise', 'Enterprise', 6000);
"""


def pytest_configure(config: pytest.Config) -> None:
    """Trace the tests that count, and let the programs that they start hear Ctrl-C.

    A shell makes what it starts in the background deaf to it, and children inherit that.
    """
    garbage.keep_still()
    config.pluginmanager.register(Tracing())
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _tidied() -> Iterator[None]:
    """The first fixture of a test, which therefore ends last: see :mod:`tests.garbage`."""
    yield
    garbage.collect()


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
    run_sql(server.get_uri(), "ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
    return server


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    """A migrated database that the tests' own are copied from."""
    run_sql(postgres.get_uri(), "CREATE DATABASE template_aitbc;")
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
        run_sql(postgres.get_uri(), f"CREATE DATABASE {name} TEMPLATE {postgres_template};")
    yield _asyncpg(postgres.get_uri(name))
    if _empty(postgres.get_uri(name)):
        emptied_databases.append(name)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a migrated database without rows but the plans, on SQLite."""
    path = shutil.copyfile(sqlite_template, tmp_path / "aitbc.db")
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh migrated database, once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh migrated database, once on SQLite and once on PostgreSQL."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyProcess]:
    """A real Valkey server of its own for this run; tests that break it have ``own_valkey``."""
    with closing(ValkeyProcess(tmp_path_factory.mktemp("valkey"))) as server:
        yield server


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[ValkeyProcess]:
    """A Valkey of the test's own, which it may kill, hang and start again."""
    with closing(ValkeyProcess(tmp_path / "valkey")) as server:
        yield server


async def _migrate(url: str) -> None:
    database = Database(url)
    await migrate.upgrade(database)
    await database.close()


def _empty(uri: str) -> bool:
    """Empty every table, which is quicker than a new database; False where a test left it beyond that."""
    try:
        run_sql(uri, _EMPTY)
    except subprocess.CalledProcessError:
        return False
    return True


def _asyncpg(uri: str) -> str:
    return uri.replace("postgresql://", "postgresql+asyncpg://", 1)
