"""Reading and chaining audit rows."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.audit.model import AuditHeadRow


async def lock_head(session: AsyncSession, tenant_id: str) -> AuditHeadRow:
    """The newest link of a tenant's chain, held until the transaction ends, so that no chain forks."""
    head = await session.scalar(select(AuditHeadRow).where(AuditHeadRow.tenant_id == tenant_id).with_for_update())
    if head is None:
        head = AuditHeadRow(tenant_id=tenant_id, sequence=0, mac=bytes(32))
        session.add(head)
        await session.flush()
    return head
