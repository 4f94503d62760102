"""Bring a database's schema to the version of this code, or back."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from aitbc_server.db.engine import Database

_SCRIPTS = Path(__file__).parent / "migrations"


async def upgrade(database: Database, revision: str = "head") -> None:
    """Run what is missing, in one transaction a migration. Safe to call again."""
    async with database.writer.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(_config(sync), revision))


async def downgrade(database: Database, revision: str) -> None:
    """Undo migrations down to ``revision`` ("base": everything)."""
    async with database.writer.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(_config(sync), revision))


async def current_revision(database: Database) -> str | None:
    """The version of the database's schema; None for an empty database."""
    async with database.writer.connect() as connection:
        return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())


def head_revision() -> str | None:
    """The version that this code needs."""
    return ScriptDirectory(str(_SCRIPTS)).get_current_head()


def make_revision(connection: Connection, message: str) -> None:
    """Write a new migration from the difference between the models and the database (for developers)."""
    command.revision(_config(connection), message, autogenerate=True)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    return config
