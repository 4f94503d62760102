"""What operators do to plans: data, not code. A change holds for the next request of every tenant on the plan."""

from __future__ import annotations

from aitbc.schemas.tenants import Plan
from aitbc_server.actor import Actor
from aitbc_server.audit.service import AuditLog
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import Code, DomainError, conflict, invalid
from aitbc_server.names import check_title
from aitbc_server.tenants import repository
from aitbc_server.tenants.model import PlanRow
from aitbc_server.tenants.service import check_slug
from aitbc_server.wire import to_builtins

MAX_LIMIT_PER_MINUTE = 10_000_000

# Under this name a key's own limit stands in the limit headers, beside the plan's.
_RESERVED = "key"


class PlanService:
    """Creates and changes plans. What concerns no single tenant stands in the audit log of the actor's, the operators'.

    Raises ``not_found``, ``validation_error`` and ``conflict``.
    """

    def __init__(self, units: UnitsOfWork, audit: AuditLog) -> None:
        self._units = units
        self._audit = audit

    async def list(self) -> list[Plan]:
        """Every plan, the smallest first."""
        async with self._units.read() as session:
            return [_plan(row) for row in await repository.plans(session)]

    async def create(self, actor: Actor, plan_id: str, limit_per_minute: int, name: str | None = None) -> Plan:
        """A new plan. Its name is its id where none is given."""
        check_slug("id", plan_id)
        if plan_id == _RESERVED:
            raise invalid("id", f"{plan_id} is the name of a key's own limit; choose another")
        title = check_title(plan_id if name is None else name)
        row = PlanRow(id=plan_id, name=title, limit_per_minute=_limit(limit_per_minute))
        async with self._units.begin() as unit:
            if await repository.plan(unit.session, plan_id) is not None:
                raise conflict(f"There is a plan {plan_id} already.")
            unit.session.add(row)
            made = _plan(row)
            await self._audit.record(unit.session, actor, "plan.created", ("plan", plan_id), after=to_builtins(made))
            await unit.commit()
            return made

    async def update(
        self, actor: Actor, plan_id: str, *, limit_per_minute: int | None = None, name: str | None = None
    ) -> Plan:
        """Change what is given."""
        async with self._units.begin() as unit:
            row = await repository.plan(unit.session, plan_id, for_update=True)
            if row is None:
                raise DomainError(Code.NOT_FOUND, f"There is no plan {plan_id}.")
            before = to_builtins(_plan(row))
            row.limit_per_minute = row.limit_per_minute if limit_per_minute is None else _limit(limit_per_minute)
            row.name = row.name if name is None else check_title(name)
            after = to_builtins(_plan(row))
            if after != before:
                await self._audit.record(
                    unit.session, actor, "plan.updated", ("plan", plan_id), before=before, after=after
                )
                unit.makes_stale(*await repository.tenant_ids_on(unit.session, plan_id))
                await unit.commit()
            return _plan(row)


def _plan(row: PlanRow) -> Plan:
    return Plan(id=row.id, name=row.name, limit_per_minute=row.limit_per_minute)


def _limit(limit_per_minute: int) -> int:
    if not 1 <= limit_per_minute <= MAX_LIMIT_PER_MINUTE:
        raise invalid("limit_per_minute", f"must be from 1 to {MAX_LIMIT_PER_MINUTE}")
    return limit_per_minute
