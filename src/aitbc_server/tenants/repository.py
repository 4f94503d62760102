"""Queries on tenants and plans."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.tenants.model import PlanRow, TenantRow


async def tenant(session: AsyncSession, tenant_id: str, *, for_update: bool = False) -> TenantRow | None:
    """One tenant; ``for_update`` holds it until the transaction ends."""
    return await session.get(TenantRow, tenant_id, with_for_update=for_update or None)


async def tenants(session: AsyncSession) -> Sequence[TenantRow]:
    """Every tenant, by id."""
    return (await session.scalars(select(TenantRow).order_by(TenantRow.id))).all()


async def tenant_ids_on(session: AsyncSession, plan_id: str) -> Sequence[str]:
    """The tenants that have this plan."""
    return (await session.scalars(select(TenantRow.id).where(TenantRow.plan_id == plan_id))).all()


async def plan(session: AsyncSession, plan_id: str, *, for_update: bool = False) -> PlanRow | None:
    """One plan; ``for_update`` holds it until the transaction ends."""
    return await session.get(PlanRow, plan_id, with_for_update=for_update or None)


async def plans(session: AsyncSession) -> Sequence[PlanRow]:
    """Every plan, the smallest first."""
    return (await session.scalars(select(PlanRow).order_by(PlanRow.limit_per_minute, PlanRow.id))).all()
