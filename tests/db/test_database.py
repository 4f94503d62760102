"""The database's ground: schema, migrations, transactions."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, delete, select

from aitbc_server.api_keys.model import ApiKeyGrantRow, ApiKeyRow
from aitbc_server.clock import now, system_clock
from aitbc_server.db import migrate
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.metadata import metadata
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import Code, DomainError
from aitbc_server.tenants.model import PlanRow, TenantRow


def _key(tenant_id: str) -> ApiKeyRow:
    at = now(system_clock)
    return ApiKeyRow(
        kid="k" * 12,
        tenant_id=tenant_id,
        environment="live",
        name="a key",
        scopes=[],
        created_at=at,
        allowed_ips=[],
        metadata_={},
        digest=bytes(32),
        pepper_version="x",
        last4="abcd",
        secret_created_at=at,
    )


async def test_a_new_database_has_the_three_plans(database: Database) -> None:
    """Free 60, Pro 600, Enterprise 6000 requests a minute, as rows."""
    async with database.read() as session:
        plans = {plan.id: plan.limit_per_minute for plan in await session.scalars(select(PlanRow))}
    assert plans == {"free": 60, "pro": 600, "enterprise": 6000}


async def test_migrations_run_up_down_and_up_again(database: Database) -> None:
    """Every migration can be undone and done again, on both databases."""
    await migrate.downgrade(database, "base")
    assert await migrate.current_revision(database) is None
    await migrate.upgrade(database)
    assert await migrate.current_revision(database) == migrate.HEAD


async def test_a_database_in_use_goes_down_and_up_with_everything_in_it(database: Database) -> None:
    """Rows that point at one another forbid that a table is made anew: each of the migrations after the first must do
    without, and loses nothing.
    """
    at = now(system_clock)
    async with database.write() as session:
        for tenant in ("acme", "globex"):
            session.add(TenantRow(id=tenant, name=tenant, plan_id="free", created_at=at))
        await session.flush()
        session.add(_key("acme"))
        await session.flush()
        session.add(ApiKeyGrantRow(kid="k" * 12, tenant_id="globex", granted_by="x", granted_at=at))
        await session.commit()
    await migrate.downgrade(database, "0002")
    await migrate.upgrade(database)
    async with database.read() as session:
        [key] = await session.scalars(select(ApiKeyRow))
        [grant] = await session.scalars(select(ApiKeyGrantRow))
    assert (key.name, key.user_id, key.user_disabled, grant.tenant_id) == ("a key", None, False, "globex")


async def test_the_models_are_what_the_migrations_make(database: Database) -> None:
    """Nothing is left for a migration to do: every column, type, index and key of the models is there, and no other."""
    async with database.read() as session:
        differences = await (await session.connection()).run_sync(_differences)
    assert differences == []


def test_the_code_needs_the_newest_migration() -> None:
    """The version that the code asks for without reading the migrations is the one that they lead to."""
    scripts = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    assert scripts.get_current_head() == migrate.HEAD


async def test_a_database_that_another_process_holds_is_unavailable(tmp_path: Path, sqlite_template: Path) -> None:
    """ASVS 16.5.2: a fault of the database is 503, and nothing is changed; it is no mistake of ours."""
    path = shutil.copyfile(sqlite_template, tmp_path / "aitbc.db")
    database = Database(f"sqlite+aiosqlite:///{path}")
    units = UnitsOfWork(database, LocalFences(lambda _: None), system_clock)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DomainError) as raised:
            await _delete_plans(units)
    assert raised.value.code is Code.UNAVAILABLE
    async with units.read() as session:
        assert len((await session.scalars(select(PlanRow))).all()) == 3
    await database.close()


def _differences(connection: Connection) -> list[Any]:
    # Of tables that have no model there is nothing to compare; that each has one is tests/contract/test_defaults.py's.
    options = {"compare_type": True, "include_name": lambda name, kind, _: kind != "table" or name in metadata.tables}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


async def _delete_plans(units: UnitsOfWork) -> None:
    async with units.begin() as unit:
        await unit.session.execute(delete(PlanRow))
        await unit.commit()
