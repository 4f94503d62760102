"""Queries on API keys."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Row, Select, String, bindparam, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from aitbc_server.api_keys.model import ApiKeyGrantRow, ApiKeyRow
from aitbc_server.tenants.model import PlanRow, TenantRow

_GrantedTenant = aliased(TenantRow, name="granted_tenant")
_GrantedPlan = aliased(PlanRow, name="granted_plan")

#: A key, its tenant and plan, and one granted tenant with its plan: one row for each grant, or one with nulls.
KeyWithTenants = tuple[ApiKeyRow | None, TenantRow | None, PlanRow | None, TenantRow | None, PlanRow | None]


async def find_by_kid(session: AsyncSession, kid: str) -> Sequence[Row[KeyWithTenants]]:
    """All that the gate needs of a key, in one query that gives a row whether the kid is known or not."""
    return (await session.execute(_BY_KID, {"kid": kid})).all()


async def find_by_lookup(session: AsyncSession, lookups: Sequence[bytes]) -> Sequence[Row[KeyWithTenants]]:
    """The same for a foreign key, by the digests that it may be stored under."""
    return (await session.execute(_BY_LOOKUP, {"lookups": list(lookups)})).all()


async def get(session: AsyncSession, kid: str, *, for_update: bool = False) -> ApiKeyRow | None:
    """The key with this kid, of whatever tenant: the caller checks whose it is."""
    return await session.get(ApiKeyRow, kid, with_for_update=for_update or None)


def _with_tenants(condition: object) -> Select[KeyWithTenants]:
    wanted = select(literal(1).label("one")).subquery("wanted")
    return (
        select(ApiKeyRow, TenantRow, PlanRow, _GrantedTenant, _GrantedPlan)
        .select_from(wanted)
        .outerjoin(ApiKeyRow, condition)  # type: ignore[arg-type]
        .outerjoin(TenantRow, TenantRow.id == ApiKeyRow.tenant_id)
        .outerjoin(PlanRow, PlanRow.id == TenantRow.plan_id)
        .outerjoin(ApiKeyGrantRow, ApiKeyGrantRow.kid == ApiKeyRow.kid)
        .outerjoin(_GrantedTenant, _GrantedTenant.id == ApiKeyGrantRow.tenant_id)
        .outerjoin(_GrantedPlan, _GrantedPlan.id == _GrantedTenant.plan_id)
    )


_BY_KID = _with_tenants(ApiKeyRow.kid == bindparam("kid", type_=String))
_BY_LOOKUP = _with_tenants(
    or_(
        ApiKeyRow.lookup.in_(bindparam("lookups", expanding=True)),
        ApiKeyRow.previous_lookup.in_(bindparam("lookups", expanding=True)),
    )
)
