"""What a fresh installation has and does by itself: no account, no key, no call to anybody."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from tests.support.installation import Installation

from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.db import migrate
from aitbc_server.db.base import Base
from aitbc_server.db.engine import Database

SERVER = Path(__file__).parents[2] / "src" / "aitbc_server"

# Whoever imports one of these speaks to other machines.
CLIENTS = {
    "aiohttp",
    "aiosmtplib",
    "ftplib",
    "http.client",
    "httpx",
    "httpx2",
    "imaplib",
    "requests",
    "smtplib",
    "urllib.request",
}
# Plans are no accounts: without one no tenant could be made.
SEEDED = {"plans", "alembic_version", "sqlite_sequence", "installation"}


_TABLES = text("SELECT name FROM sqlite_master WHERE type = 'table'")


async def test_a_fresh_database_lets_nobody_in(tmp_path: Path) -> None:
    """ASVS 6.3.2, 6.4.1: migrations make no tenant, no key, no person: there is no default account."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'fresh.db'}")
    try:
        await migrate.upgrade(database)
        async with database.read() as session:
            counts = {
                name: await session.scalar(select(func.count()).select_from(table))
                for name, table in Base.metadata.tables.items()
            }
            tables = {
                row[0] for row in await session.execute(text("SELECT name FROM sqlite_master WHERE type='table'"))
            }
    finally:
        await database.close()
    assert ApiKeyRow.__tablename__ in counts
    assert tables - SEEDED == set(counts) - SEEDED
    assert {name: count for name, count in counts.items() if count and name not in SEEDED} == {}


@pytest.mark.parametrize("name", ["admin", "root", "test", "aitbc", "changeme", "demo-key-0123456789"])
async def test_no_word_is_a_key(name: str, installation: Installation) -> None:
    """ASVS 6.3.2: nothing that people try first opens anything."""
    async with installation.client() as client:
        assert (await client.get("/v1/jobs", headers={"X-API-Key": name})).status_code == 401


def imported_by(path: Path) -> set[str]:
    """The full names of the modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_the_server_calls_nobody() -> None:
    """ASVS 1.3.6, 13.2.4, 9.1.3: it makes no request of its own, so none can be steered, and no key comes from afar.

    With three exceptions that settings turn on: one host, written in the code, is asked about breached passwords; mails
    go to the one mail server, and limits to the one Valkey, that the operator names.

    It asks itself alone whether it is there, at the address that it listens on.
    """
    found = {
        path.relative_to(SERVER).as_posix(): sorted(imported_by(path) & CLIENTS)
        for path in SERVER.rglob("*.py")
        if imported_by(path) & CLIENTS
    }
    assert found == {"mail/smtp.py": ["aiosmtplib"], "users/breached_passwords.py": ["httpx2"]}
    connecting = {
        path.relative_to(SERVER).as_posix()
        for path in SERVER.rglob("*.py")
        if re.search(r"\b(open|create)_(unix_)?connection\(", path.read_text(encoding="utf-8"))
    }
    assert connecting == {"serving/probe.py", "valkey/connection.py"}
