"""PostgreSQL as the start and the doctor see it: one that is too old or too small is found, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from aitbc_server.clock import system_clock
from aitbc_server.db.engine import Database
from aitbc_server.serving import database_checks
from aitbc_server.serving.doctor import examine
from aitbc_server.serving.errors import StartError
from aitbc_server.serving.findings import Finding, Level
from aitbc_server.serving.installation import migrated
from aitbc_server.serving.server import Role, ready_to_serve
from aitbc_server.settings import Settings

FACTS = {"max_connections": "100", "superuser_reserved_connections": "3", "reserved_connections": "2"}


def version(number: int) -> dict[str, str]:
    """What a PostgreSQL of this version says of itself."""
    return {"server_version": f"{number // 10_000}.{number % 10_000}", "server_version_num": str(number)}


@pytest.mark.parametrize(
    ("number", "level"), [(130_022, Level.FAIL), (140_000, Level.OK), (140_023, Level.OK), (180_001, Level.OK)]
)
def test_the_oldest_that_is_supported(number: int, level: Level) -> None:
    """14, whichever patch of it."""
    assert database_checks.version(version(number)).level is level


def test_what_is_too_old_is_told_with_what_to_do() -> None:
    """Both versions are named."""
    found = database_checks.version(version(130_022))
    assert found == Finding(Level.FAIL, "PostgreSQL", "PostgreSQL 13.22 is too old", "use PostgreSQL 14 or newer")


def test_connections_of_all_workers_are_counted() -> None:
    """With those that each has for itself, against those that are free for users."""
    alone = Settings(database_connections=93)
    assert database_checks.connections(FACTS, alone).level is Level.OK
    fleet = Settings(database_connections=93, valkey_url="valkey://localhost")
    found = database_checks.connections(FACTS, fleet)
    assert found.level is Level.WARN
    assert found.detail == "this node takes up to 96 of the 95 that PostgreSQL has for all nodes"
    assert found.remedy is not None
    assert "max_connections" in found.remedy
    workers = Settings(database_connections=20, valkey_url="valkey://localhost", workers=4)
    assert database_checks.connections(FACTS, workers).level is Level.OK
    assert database_checks.connections(FACTS | {"max_connections": "96"}, workers).level is Level.WARN
    # Before PostgreSQL 16 there was one kind of reserve.
    del (older := dict(FACTS))["reserved_connections"]
    assert database_checks.connections(older, alone).level is Level.OK


async def test_the_doctor_says_both(postgres_url: str, tmp_path: Path) -> None:
    """Of the real server."""
    settings = Settings(data_dir=tmp_path, database_url=postgres_url.replace("+asyncpg", ""))
    found = {finding.what: finding async for finding in examine(settings, system_clock)}
    assert {found[what].level for what in ("database", "PostgreSQL", "connections")} == {Level.OK}
    settings = Settings(data_dir=tmp_path, database_url=settings.database_url, database_connections=1000)
    found = {finding.what: finding async for finding in examine(settings, system_clock)}
    assert found["connections"].level is Level.WARN


async def test_neither_a_server_nor_a_migration_starts_on_what_is_too_old(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is changed in it."""
    monkeypatch.setattr(database_checks, "OLDEST", 99)
    settings = Settings(data_dir=tmp_path, database_url=postgres_url.replace("+asyncpg", ""))
    with pytest.raises(StartError, match="too old"):
        await migrated(settings)
    database = Database(postgres_url)
    role = Role(may_migrate=False, prepare=None, beside=None)  # type: ignore[arg-type]
    with pytest.raises(StartError, match="too old"):
        await ready_to_serve(settings, role, database)
    await database.close()
