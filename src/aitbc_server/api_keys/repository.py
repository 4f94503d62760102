"""Queries on API keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import ColumnElement, and_, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc.schemas.api_keys import KeyStatus
from aitbc.schemas.scopes import Environment
from aitbc_server.api_keys.model import ApiKeyGrantRow, ApiKeyRow
from aitbc_server.clock import Timestamp
from aitbc_server.ids import KEY_ID_PREFIX
from aitbc_server.tenants.model import PlanRow, TenantRow


async def get(session: AsyncSession, kid: str, *, for_update: bool = False) -> ApiKeyRow | None:
    """The key with this kid, of whatever tenant: the caller checks whose it is."""
    return await session.get(ApiKeyRow, kid, with_for_update=for_update or None)


async def not_revoked(session: AsyncSession, kids: Sequence[str]) -> Sequence[str]:
    """Which of these keys there are that are not revoked."""
    alive = select(ApiKeyRow.kid).where(ApiKeyRow.kid.in_(kids), ApiKeyRow.revoked_at.is_(None))
    return (await session.scalars(alive)).all()


async def get_by_lookup(session: AsyncSession, lookups: Sequence[bytes]) -> ApiKeyRow | None:
    """The foreign key that is stored under one of these digests, as its present or its previous secret."""
    found = or_(ApiKeyRow.lookup.in_(lookups), ApiKeyRow.previous_lookup.in_(lookups))
    return (await session.scalars(select(ApiKeyRow).where(found))).first()


async def count_live(session: AsyncSession, tenant_id: str, at: Timestamp) -> int:
    """How many of a tenant's keys are neither revoked nor expired."""
    live = (ApiKeyRow.revoked_at.is_(None), or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > at))
    return await session.scalar(select(func.count()).where(ApiKeyRow.tenant_id == tenant_id, *live)) or 0


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys a list holds. ``kid`` is one key alone; statuses are as of ``at``."""

    tenant_id: str | None = None
    kid: str | None = None
    environment: Environment | None = None
    status: KeyStatus | None = None
    q: str | None = None
    at: Timestamp


async def page(
    session: AsyncSession, filters: Filters, *, limit: int, after: tuple[Timestamp, str] | None
) -> Sequence[ApiKeyRow]:
    """Up to ``limit`` keys, newest first, that come after the one created then with that kid."""
    query = select(ApiKeyRow).where(*_conditions(filters))
    if after is not None:
        query = query.where(tuple_(ApiKeyRow.created_at, ApiKeyRow.kid) < after)
    newest_first = query.order_by(ApiKeyRow.created_at.desc(), ApiKeyRow.kid.desc())
    return (await session.scalars(newest_first.limit(limit))).all()


async def granted_tenants(session: AsyncSession, kids: Iterable[str]) -> dict[str, list[str]]:
    """The further tenants of each of these keys."""
    grants = defaultdict(list)
    for grant in await session.scalars(select(ApiKeyGrantRow).where(ApiKeyGrantRow.kid.in_(list(kids)))):
        grants[grant.kid].append(grant.tenant_id)
    return grants


async def tenants_of(session: AsyncSession, kid: str) -> list[str]:
    """All the tenants that a key may act for, its own first; none for a key that does not exist."""
    home = await session.scalar(select(ApiKeyRow.tenant_id).where(ApiKeyRow.kid == kid))
    return [] if home is None else [home, *(await granted_tenants(session, [kid])).get(kid, [])]


async def plan_limits(session: AsyncSession, tenant_ids: Iterable[str]) -> dict[str, int]:
    """What each tenant's plan allows in any 60 s; tenants that do not exist are left out."""
    query = select(TenantRow.id, PlanRow.limit_per_minute).join(PlanRow, PlanRow.id == TenantRow.plan_id)
    return {row[0]: row[1] for row in await session.execute(query.where(TenantRow.id.in_(list(tenant_ids))))}


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    conditions = []
    if filters.tenant_id is not None:
        conditions.append(ApiKeyRow.tenant_id == filters.tenant_id)
    if filters.kid is not None:
        conditions.append(ApiKeyRow.kid == filters.kid)
    if filters.environment is not None:
        conditions.append(ApiKeyRow.environment == filters.environment)
    if filters.status is not None:
        conditions.append(_has_status(filters.status, filters.at))
    if filters.q is not None:
        key_id = literal(KEY_ID_PREFIX) + ApiKeyRow.kid
        conditions.append(
            or_(ApiKeyRow.name.icontains(filters.q, autoescape=True), key_id.icontains(filters.q, autoescape=True))
        )
    return conditions


def _has_status(status: KeyStatus, at: Timestamp) -> ColumnElement[bool]:
    """The same order as a key's shown status: revoked, disabled, expired, active."""
    if status is KeyStatus.REVOKED:
        return ApiKeyRow.revoked_at.is_not(None)
    standing = ApiKeyRow.revoked_at.is_(None)
    if status is KeyStatus.DISABLED:
        return and_(standing, or_(ApiKeyRow.enabled.is_(False), ApiKeyRow.user_disabled.is_(True)))
    usable = and_(standing, ApiKeyRow.enabled.is_(True), ApiKeyRow.user_disabled.is_(False))
    if status is KeyStatus.EXPIRED:
        return and_(usable, ApiKeyRow.expires_at <= at)
    unexpired = or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > at)
    return and_(usable, unexpired)
