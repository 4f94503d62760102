"""Bring a database's schema to the version of this code, or back.

Alembic is imported only where something has to be migrated: it would take a third of a server's start.
"""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from aitbc_server.db.engine import Database

if TYPE_CHECKING:
    from alembic.config import Config

#: The version of the schema that this code needs: the newest in ``migrations/versions``, which count up.
HEAD = "0007"

_OURS = re.compile("[0-9]{4}")
_SCRIPTS = Path(__file__).parent / "migrations"
# Any two numbers that nothing else locks in our database: "aitb", "m".
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(1634301026, 109)")


class SchemaState(Enum):
    """How a database's schema stands to this code."""

    EMPTY = "empty"
    OLD = "old"
    CURRENT = "current"
    #: A later release's. Migrations work with the code of the release before, so that nodes are updated one by one.
    NEWER = "newer"
    UNKNOWN = "unknown"


async def schema_state(database: Database) -> SchemaState:
    """Whether the database can be used as it is. UNKNOWN: no version of ours at all."""
    revision = await current_revision(database)
    if revision is None:
        return SchemaState.EMPTY
    if revision == HEAD:
        return SchemaState.CURRENT
    if is_newer(revision):
        return SchemaState.NEWER
    return SchemaState.OLD if revision in _known_revisions() else SchemaState.UNKNOWN


def is_newer(revision: str | None) -> bool:
    """Whether a later release has migrated the database."""
    return revision is not None and _OURS.fullmatch(revision) is not None and revision > HEAD


async def upgrade(database: Database, revision: str = "head") -> None:
    """Run what is missing, in one transaction. Safe to call again, and from several machines at once.

    What a later release has made meanwhile stays.
    """
    from alembic import command

    async with database.writer.begin() as connection:
        if not database.is_sqlite:
            # Whoever comes second waits here, and finds it done. SQLite has one writer at a time anyway.
            await connection.execute(_ONE_AT_A_TIME)
        if is_newer(await connection.run_sync(_current_revision)):
            return
        await connection.run_sync(lambda sync: command.upgrade(_config(sync), revision))


async def downgrade(database: Database, revision: str) -> None:
    """Undo migrations down to ``revision`` ("base": everything)."""
    from alembic import command

    async with database.writer.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(_config(sync), revision))


async def current_revision(database: Database) -> str | None:
    """The version of the database's schema; None for an empty database."""
    async with database.read() as session:
        return await (await session.connection()).run_sync(_current_revision)


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _known_revisions() -> set[str]:
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory(str(_SCRIPTS)).walk_revisions()}


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    return config
