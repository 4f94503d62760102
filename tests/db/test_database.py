"""The database's ground: schema, migrations, transactions."""

from __future__ import annotations

from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import select

from aitbc_server.db import migrate
from aitbc_server.db.engine import Database
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
