"""Which installation a database is: an id that a migration makes, and that goes wherever the data goes.

A backup that is restored, and data that is moved to another kind of database, are still the same installation. What is
kept outside of the database, in the Valkey that nodes share, is told by it whose it is.
"""

from __future__ import annotations

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.db.base import Base
from aitbc_server.db.engine import Database


class InstallationRow(Base):
    """The one row of its table."""

    __tablename__ = "installation"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)


async def installation_id(database: Database) -> str:
    """The database's. Raises SQLAlchemyError or OSError, also where the row is missing."""
    async with database.read() as session:
        return (await session.scalars(select(InstallationRow.id))).one()
