"""Reading and chaining audit rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.audit.chain import START
from aitbc_server.audit.model import AuditEventRow, AuditHeadRow
from aitbc_server.clock import Timestamp
from aitbc_server.db.upsert import insert_into

# Things that live in one environment. An event about one whose environment is not known is shown to no key.
_OF_ONE_ENVIRONMENT = ("api_key", "job", "miner")


class Filters(NamedTuple):
    """Which events; None: any. The range of times holds ``from_`` and not ``to``."""

    action: str | None = None
    actor: str | None = None
    key_id: str | None = None
    from_: Timestamp | None = None
    to: Timestamp | None = None
    actor_name: str | None = None


async def lock_head(session: AsyncSession, tenant_id: str) -> AuditHeadRow:
    """The newest link of a tenant's chain, held until the transaction ends, so that no chain forks."""
    head = await session.scalar(_locked_head(tenant_id))
    if head is None:
        # Two transactions may be the tenant's first at once: the second waits here until the first has ended.
        insert = insert_into(session, AuditHeadRow)
        row = {"tenant_id": tenant_id, "sequence": 0, "mac": START}
        await session.execute(insert.values(row).on_conflict_do_nothing())
        head = await session.scalar(_locked_head(tenant_id))
    assert head is not None
    return head


async def events(
    session: AsyncSession,
    tenant_id: str,
    environment: str | None,
    filters: Filters,
    *,
    before: int | None,
    limit: int,
) -> Sequence[AuditEventRow]:
    """A tenant's events, newest first, those below the sequence number ``before``.

    Of one environment and of the tenant as a whole, or all with ``environment`` None.
    """
    statement = select(AuditEventRow).where(AuditEventRow.tenant_id == tenant_id)
    if environment is not None:
        of_the_tenant = and_(AuditEventRow.environment.is_(None), AuditEventRow.target_type.not_in(_OF_ONE_ENVIRONMENT))
        statement = statement.where(or_(AuditEventRow.environment == environment, of_the_tenant))
    if before is not None:
        statement = statement.where(AuditEventRow.sequence < before)
    statement = _filtered(statement, filters).order_by(AuditEventRow.sequence.desc()).limit(limit)
    return (await session.scalars(statement)).all()


async def event(session: AsyncSession, tenant_id: str, event_id: str) -> AuditEventRow | None:
    """One event of the tenant's."""
    of_id = select(AuditEventRow).where(AuditEventRow.id == event_id, AuditEventRow.tenant_id == tenant_id)
    return (await session.scalars(of_id)).one_or_none()


async def chain(session: AsyncSession, tenant_id: str, *, after: int | None, limit: int) -> Sequence[AuditEventRow]:
    """The rows of a chain in its order, from behind the sequence number ``after``."""
    statement = select(AuditEventRow).where(AuditEventRow.tenant_id == tenant_id)
    if after is not None:
        statement = statement.where(AuditEventRow.sequence > after)
    statement = statement.order_by(AuditEventRow.sequence).limit(limit)
    return (await session.scalars(statement, execution_options={"populate_existing": True})).all()


async def names(session: AsyncSession, tenant_id: str, *, after: int, limit: int) -> Sequence[tuple[int, str]]:
    """Sequence number and id of rows that cannot be read as a whole."""
    statement = select(AuditEventRow.sequence, AuditEventRow.id).where(
        AuditEventRow.tenant_id == tenant_id, AuditEventRow.sequence > after
    )
    return [(row[0], row[1]) for row in await session.execute(statement.order_by(AuditEventRow.sequence).limit(limit))]


async def tenants(session: AsyncSession) -> set[str]:
    """Every tenant that has a chain or the head of one."""
    of_rows = await session.scalars(select(AuditEventRow.tenant_id).distinct())
    return {*of_rows, *await session.scalars(select(AuditHeadRow.tenant_id))}


async def head(session: AsyncSession, tenant_id: str) -> AuditHeadRow | None:
    """The head of a tenant's chain, not locked."""
    return await session.get(AuditHeadRow, tenant_id, populate_existing=True)


def _locked_head(tenant_id: str) -> Select[AuditHeadRow]:
    return (
        select(AuditHeadRow)
        .where(AuditHeadRow.tenant_id == tenant_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def _filtered(statement: Select[AuditEventRow], filters: Filters) -> Select[AuditEventRow]:
    if filters.action is not None:
        statement = statement.where(AuditEventRow.action == filters.action)
    if filters.actor is not None:
        statement = statement.where(AuditEventRow.actor_id == filters.actor)
    if filters.actor_name is not None:
        statement = statement.where(AuditEventRow.actor_name == filters.actor_name)
    if filters.key_id is not None:
        statement = statement.where(AuditEventRow.target_type == "api_key", AuditEventRow.target_id == filters.key_id)
    if filters.from_ is not None:
        statement = statement.where(AuditEventRow.time >= filters.from_)
    if filters.to is not None:
        statement = statement.where(AuditEventRow.time < filters.to)
    return statement
