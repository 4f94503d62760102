"""Bring a database's schema to the version of this code, or back."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from aitbc_server.db.engine import Database

_SCRIPTS = Path(__file__).parent / "migrations"


class SchemaState(Enum):
    """How a database's schema stands to this code."""

    EMPTY = "empty"
    OLD = "old"
    CURRENT = "current"
    UNKNOWN = "unknown"


async def schema_state(database: Database) -> SchemaState:
    """Whether the database can be used as it is. UNKNOWN: a version that this code has never heard of, a newer one."""
    revision = await current_revision(database)
    if revision is None:
        return SchemaState.EMPTY
    if revision == head_revision():
        return SchemaState.CURRENT
    known = {script.revision for script in ScriptDirectory(str(_SCRIPTS)).walk_revisions()}
    return SchemaState.OLD if revision in known else SchemaState.UNKNOWN


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
