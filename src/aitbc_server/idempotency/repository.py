"""Queries on idempotency keys."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.clock import Timestamp
from aitbc_server.idempotency.model import IdempotencyKeyRow


async def get(
    session: AsyncSession, tenant_id: str, environment: str, route: str, key: str
) -> IdempotencyKeyRow | None:
    """What was made for this key."""
    return await session.get(IdempotencyKeyRow, (tenant_id, environment, route, key))


async def delete_older(session: AsyncSession, than: Timestamp, *, about: int) -> bool:
    """Delete the ``about`` oldest of the rows older than ``than``; True where there are more of them."""
    old = select(IdempotencyKeyRow.created_at).where(IdempotencyKeyRow.created_at < than)
    last = await session.scalar(old.order_by(IdempotencyKeyRow.created_at).offset(about - 1).limit(1))
    newest = IdempotencyKeyRow.created_at < than if last is None else IdempotencyKeyRow.created_at <= last
    await session.execute(delete(IdempotencyKeyRow).where(newest))
    return last is not None
