"""Alembic's entry: runs the migrations on a connection that the caller gives."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from aitbc_server.db.metadata import metadata
from aitbc_server.db.types import TimestampColumn


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our column types as what they are stored as: a migration must not change when our code does."""
    return "sa.BigInteger()" if kind == "type" and isinstance(item, TimestampColumn) else False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    # SQLite cannot alter most of a table in place: Alembic rebuilds it.
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
