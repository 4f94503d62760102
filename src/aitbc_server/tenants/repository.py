"""Queries on tenants and plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.clock import Timestamp
from aitbc_server.tenants.model import PlanRequestRow, PlanRow, TenantRow
from aitbc_server.users.model import MembershipRow, UserLinkRow, UserRow


class AskedFor(NamedTuple):
    """A request for a plan, with what it is about, the tenant's present plan, and who made and decided it.

    These two are None where that account is gone, and where nobody has decided yet.
    """

    request: PlanRequestRow
    plan: PlanRow
    tenant: TenantRow
    present_plan: PlanRow
    user: UserRow | None
    decider: UserRow | None


class Listed(NamedTuple):
    """A tenant with its plan, and how many keys that are not revoked and how many members it has."""

    tenant: TenantRow
    plan: PlanRow
    keys: int
    members: int


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


async def plan_request(session: AsyncSession, request_id: str) -> PlanRequestRow | None:
    """One request, held until the transaction ends: it is decided once."""
    return await session.get(PlanRequestRow, request_id, with_for_update=True)


async def has_open_request(session: AsyncSession, tenant_id: str) -> bool:
    """Whether a tenant waits for an answer."""
    statement = select(PlanRequestRow.id).where(PlanRequestRow.tenant_id == tenant_id, PlanRequestRow.state == "open")
    return await session.scalar(statement.limit(1)) is not None


async def requests_of(session: AsyncSession, tenant_id: str, limit: int) -> Sequence[AskedFor]:
    """A tenant's newest requests, the newest first."""
    return await _asked_for(session, PlanRequestRow.tenant_id == tenant_id, limit)


async def requests_in(session: AsyncSession, state: str, limit: int) -> Sequence[AskedFor]:
    """The newest requests in a state, of all tenants, the newest first."""
    return await _asked_for(session, PlanRequestRow.state == state, limit)


async def closed_requests(session: AsyncSession, limit: int) -> Sequence[AskedFor]:
    """The requests that were decided or withdrawn, of all tenants, the last decision first."""
    return await _asked_for(session, PlanRequestRow.state != "open", limit, PlanRequestRow.decided_at)


async def requests_with(session: AsyncSession, request_id: str) -> Sequence[AskedFor]:
    """The request with this id, as a list of one or none."""
    return await _asked_for(session, PlanRequestRow.id == request_id, 1)


async def _asked_for(
    session: AsyncSession,
    condition: ColumnElement[bool],
    limit: int,
    newest: InstrumentedAttribute[Any] = PlanRequestRow.requested_at,
) -> Sequence[AskedFor]:
    present, decider = aliased(PlanRow), aliased(UserRow)
    statement = (
        select(PlanRequestRow, PlanRow, TenantRow, present, UserRow, decider)
        .join(PlanRow, PlanRow.id == PlanRequestRow.plan_id)
        .join(TenantRow, TenantRow.id == PlanRequestRow.tenant_id)
        .join(present, present.id == TenantRow.plan_id)
        .outerjoin(decider, decider.id == PlanRequestRow.decided_by)
        .outerjoin(UserRow, UserRow.id == PlanRequestRow.requested_by)
        .where(condition)
        .order_by(newest.desc(), PlanRequestRow.id)
        .limit(limit)
    )
    return [AskedFor(*row) for row in await session.execute(statement)]


async def search_tenants(session: AsyncSession, text: str, limit: int) -> Sequence[Listed]:
    """The newest tenants with ``text`` in their id or name."""
    found = _listing()
    if text:
        found = found.where(or_(_contains(TenantRow.id, text), _contains(TenantRow.name, text)))
    return [Listed(*row) for row in await session.execute(found.limit(limit))]


async def listed_tenant(session: AsyncSession, tenant_id: str) -> Listed | None:
    """One tenant, as it is listed."""
    row = (await session.execute(_listing().where(TenantRow.id == tenant_id))).one_or_none()
    return None if row is None else Listed(*row)


async def keys_in_use(
    session: AsyncSession, tenant_id: str, at: Timestamp, lately: Timestamp
) -> tuple[int, int, Timestamp | None]:
    """How many keys of a tenant work, how many of these were used since ``lately``, and when one was used last."""
    lives = or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > at)
    used = case((ApiKeyRow.last_used_at >= lately, 1))
    statement = select(func.count(), func.count(used), func.max(ApiKeyRow.last_used_at)).where(
        ApiKeyRow.tenant_id == tenant_id,
        ApiKeyRow.revoked_at.is_(None),
        ApiKeyRow.enabled,
        ApiKeyRow.user_disabled.is_(False),
        lives,
    )
    row = (await session.execute(statement)).one()
    return row[0], row[1], row[2]


async def search_users(session: AsyncSession, text: str, limit: int) -> Sequence[tuple[UserRow, bool]]:
    """The newest people with ``text`` in their address or name; and whether an operator's link waits for them."""
    link = select(UserLinkRow.digest).where(UserLinkRow.user_id == UserRow.id, UserLinkRow.purpose == "set_up")
    found = select(UserRow, link.exists()).order_by(UserRow.created_at.desc(), UserRow.id).limit(limit)
    if text:
        found = found.where(or_(_contains(UserRow.email, text), _contains(UserRow.name, text)))
    return [(user, invited) for user, invited in await session.execute(found)]


async def members(session: AsyncSession, tenant_id: str) -> Sequence[tuple[UserRow, str]]:
    """Who is in a tenant, each with their role, the first ones first."""
    statement = (
        select(UserRow, MembershipRow.role)
        .join(MembershipRow, MembershipRow.user_id == UserRow.id)
        .where(MembershipRow.tenant_id == tenant_id)
        .order_by(MembershipRow.created_at, UserRow.id)
    )
    return [(user, role) for user, role in await session.execute(statement)]


def _listing() -> Select[TenantRow, PlanRow, int, int]:
    keys = select(func.count()).where(ApiKeyRow.tenant_id == TenantRow.id, ApiKeyRow.revoked_at.is_(None))
    people = select(func.count()).where(MembershipRow.tenant_id == TenantRow.id)
    return (
        select(TenantRow, PlanRow, keys.scalar_subquery(), people.scalar_subquery())
        .join(PlanRow, PlanRow.id == TenantRow.plan_id)
        .order_by(TenantRow.created_at.desc(), TenantRow.id)
    )


def _contains(column: InstrumentedAttribute[str], text: str) -> ColumnElement[bool]:
    return column.icontains(text, autoescape=True)
