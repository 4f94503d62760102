"""The fence outbox: which tenants' cached records became stale, committed together with the change itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.db.base import Base
from aitbc_server.db.types import RowId, TenantIdColumn


class FenceOutboxRow(Base):
    """One tenant whose records every node must forget. It is deleted once they all have."""

    __tablename__ = "fence_outbox"
    # Ids are never used twice, so that "everything up to n is drained" stays true.
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    tenant_id: Mapped[TenantIdColumn]


async def append(session: AsyncSession, tenant_ids: Iterable[str]) -> None:
    """Write the tenants down in the transaction of the change."""
    rows = [{"tenant_id": tenant_id} for tenant_id in sorted(set(tenant_ids))]
    if rows:
        await session.execute(insert(FenceOutboxRow), rows)


async def pending(session: AsyncSession) -> Sequence[FenceOutboxRow]:
    """What is not drained yet, oldest first."""
    return (await session.scalars(select(FenceOutboxRow).order_by(FenceOutboxRow.id))).all()


async def last_id(session: AsyncSession) -> int:
    """The id of the newest row; 0 where there is none."""
    return (await session.scalar(select(func.max(FenceOutboxRow.id)))) or 0


async def remove(session: AsyncSession, ids: Iterable[int]) -> None:
    """Delete rows whose tenants every node has forgotten."""
    await session.execute(delete(FenceOutboxRow).where(FenceOutboxRow.id.in_(list(ids))))
