"""INSERT ... ON CONFLICT, which both databases have and SQLAlchemy has a class each for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.db.base import Base

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert


def insert_into(session: AsyncSession, model: type[Base]) -> SqliteInsert | PostgresInsert:
    """An INSERT that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update`` of the session's database."""
    # Only the database at hand is loaded: an operator's command would wait for the other one.
    if session.get_bind().dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(model)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(model)
