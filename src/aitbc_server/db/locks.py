"""Locks that live as long as a transaction, for what only one node may do at a time."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession


async def try_lock(session: AsyncSession, number: int) -> bool:
    """Take the lock ``number`` (64 bits, signed) until the transaction ends; False where another one has it.

    On SQLite a write transaction is alone anyway.
    """
    if session.get_bind().dialect.name != "postgresql":
        return True
    return bool(await session.scalar(select(func.pg_try_advisory_xact_lock(number))))
