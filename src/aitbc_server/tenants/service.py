"""What operators do to tenants. Every change is one unit of work with its audit row, in effect when it returns."""

from __future__ import annotations

import re

from aitbc.schemas.common import TENANT_ID_PATTERN
from aitbc.schemas.tenants import Tenant
from aitbc_server.actor import Actor
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import now
from aitbc_server.db.unit_of_work import UnitOfWork, UnitsOfWork
from aitbc_server.errors import Code, DomainError, conflict, invalid
from aitbc_server.names import check_title
from aitbc_server.tenants import repository
from aitbc_server.tenants.model import TenantRow
from aitbc_server.wire import to_builtins

#: The tenant that holds operators' own keys, and the audit log of what concerns no single tenant.
OPERATOR_TENANT = "operator"
OPERATOR_PLAN = "enterprise"

#: What a name for machines must be, in words.
SLUG = "must be 1 to 63 lower case letters, digits and hyphens, without a hyphen at either end"


class TenantService:
    """Creates tenants, changes their plan, suspends and resumes them.

    The actor's tenant is the one that is acted on: the change stands in its audit log. Raises ``not_found`` for a
    tenant that is not there, ``validation_error`` for such a plan, ``conflict`` for a tenant that is there already.
    """

    def __init__(self, units: UnitsOfWork, audit: AuditLog) -> None:
        self._units = units
        self._audit = audit

    async def create(self, actor: Actor, plan_id: str, name: str | None = None) -> Tenant:
        """A new tenant with the actor's tenant id. Its name is its id where none is given."""
        tenant_id = check_slug("id", actor.tenant_id)
        if tenant_id == OPERATOR_TENANT:
            raise invalid("id", f"{tenant_id} is the operators' own tenant; it is made when it is needed")
        row = TenantRow(
            id=tenant_id,
            name=check_title(tenant_id if name is None else name),
            plan_id=plan_id,
            created_at=now(self._units.clock),
        )
        async with self._units.begin() as unit:
            if await repository.tenant(unit.session, tenant_id) is not None:
                raise conflict(f"There is a tenant {tenant_id} already.")
            await self._check_plan(unit, plan_id)
            return await self._add(unit, actor, row)

    async def ensure_operator_tenant(self, actor: Actor) -> None:
        """Make the operators' own tenant where there is none."""
        row = TenantRow(id=OPERATOR_TENANT, name="Operators", plan_id=OPERATOR_PLAN, created_at=now(self._units.clock))
        async with self._units.begin() as unit:
            if await repository.tenant(unit.session, OPERATOR_TENANT) is None:
                await self._add(unit, actor, row)

    async def get(self, tenant_id: str) -> Tenant:
        """One tenant."""
        async with self._units.read() as session:
            return _tenant(_found(await repository.tenant(session, tenant_id), tenant_id))

    async def list(self) -> list[Tenant]:
        """Every tenant, by id."""
        async with self._units.read() as session:
            return [_tenant(row) for row in await repository.tenants(session)]

    async def set_plan(self, actor: Actor, plan_id: str) -> Tenant:
        """Another plan: its limit holds for the next request on."""
        async with self._units.begin() as unit:
            tenant, changed = await self.put_on_plan(unit, actor, plan_id)
            if changed:
                await unit.commit()
            return tenant

    async def put_on_plan(self, unit: UnitOfWork, actor: Actor, plan_id: str) -> tuple[Tenant, bool]:
        """As ``set_plan``, in the caller's unit of work, which is not committed; and whether anything changed."""
        row = await self._locked(unit, actor)
        before = _tenant(row)
        await self._check_plan(unit, plan_id)
        row.plan_id = plan_id
        return await self._record(unit, actor, row, before, "tenant.plan_changed")

    async def suspend(self, actor: Actor) -> Tenant:
        """Refuse all of the tenant's keys, from now on. Suspending it again changes nothing.

        Raises ``conflict`` for the operators' own tenant: its keys are those by which operators and gateways work.
        """
        if actor.tenant_id == OPERATOR_TENANT:
            raise conflict("The operators' own tenant cannot be suspended. To stop a key of it, revoke the key.")
        async with self._units.begin() as unit:
            row = await self._locked(unit, actor)
            before = _tenant(row)
            row.suspended_at = row.suspended_at or now(self._units.clock)
            return await self._commit(unit, actor, row, before, "tenant.suspended")

    async def resume(self, actor: Actor) -> Tenant:
        """Let the tenant's keys work again. Resuming one that is not suspended changes nothing."""
        async with self._units.begin() as unit:
            row = await self._locked(unit, actor)
            before = _tenant(row)
            row.suspended_at = None
            return await self._commit(unit, actor, row, before, "tenant.resumed")

    async def _add(self, unit: UnitOfWork, actor: Actor, row: TenantRow) -> Tenant:
        unit.session.add(row)
        await unit.session.flush()
        made = _tenant(row)
        await self._audit.record(unit.session, actor, "tenant.created", ("tenant", row.id), after=to_builtins(made))
        unit.makes_stale(row.id)
        await unit.commit()
        return made

    async def _commit(self, unit: UnitOfWork, actor: Actor, row: TenantRow, before: Tenant, action: str) -> Tenant:
        """Record and commit what was changed."""
        tenant, changed = await self._record(unit, actor, row, before, action)
        if changed:
            await unit.commit()
        return tenant

    async def _record(
        self, unit: UnitOfWork, actor: Actor, row: TenantRow, before: Tenant, action: str
    ) -> tuple[Tenant, bool]:
        """Record what was changed; what was not changed leaves no trace."""
        after = _tenant(row)
        was, became = to_builtins(before), to_builtins(after)
        fields = [field for field in became if was[field] != became[field]]
        if fields:
            await self._audit.record(
                unit.session,
                actor,
                action,
                ("tenant", row.id),
                before={field: was[field] for field in fields},
                after={field: became[field] for field in fields},
            )
            unit.makes_stale(row.id)
        return after, bool(fields)

    async def _locked(self, unit: UnitOfWork, actor: Actor) -> TenantRow:
        return _found(await repository.tenant(unit.session, actor.tenant_id, for_update=True), actor.tenant_id)

    async def _check_plan(self, unit: UnitOfWork, plan_id: str) -> None:
        if await repository.plan(unit.session, plan_id) is None:
            known = ", ".join(plan.id for plan in await repository.plans(unit.session))
            raise invalid("plan", f"there is no plan {plan_id}; there are {known}")


def check_slug(field: str, text: str) -> str:
    """A name for machines: 1 to 63 lower case letters, digits and hyphens, no hyphen at either end."""
    # fullmatch: a "$" alone would let a line break at the end through.
    if re.fullmatch(TENANT_ID_PATTERN, text) is None or text.endswith("\n"):
        raise invalid(field, SLUG)
    return text


def _found(row: TenantRow | None, tenant_id: str) -> TenantRow:
    if row is None:
        raise DomainError(Code.NOT_FOUND, f"There is no tenant {tenant_id}.")
    return row


def _tenant(row: TenantRow) -> Tenant:
    return Tenant(
        id=row.id,
        name=row.name,
        plan=row.plan_id,
        status="active" if row.suspended_at is None else "suspended",
        created_at=row.created_at,
    )
