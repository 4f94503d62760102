"""The database's ground: schema, migrations, transactions."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import delete, select

from aitbc_server.clock import system_clock
from aitbc_server.db import migrate
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import Code, DomainError
from aitbc_server.tenants.model import PlanRow


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


async def _delete_plans(units: UnitsOfWork) -> None:
    async with units.begin() as unit:
        await unit.session.execute(delete(PlanRow))
        await unit.commit()
