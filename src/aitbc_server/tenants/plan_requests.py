"""Requests for another plan: made by who runs a tenant, decided by operators."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from aitbc.schemas.scopes import Scope
from aitbc.schemas.tenants import Plan
from aitbc_server.actor import Actor
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Timestamp, now
from aitbc_server.db.unit_of_work import UnitOfWork, UnitsOfWork
from aitbc_server.errors import conflict, insufficient_scope, invalid, not_found
from aitbc_server.ids import new_id
from aitbc_server.mail.messages import Kind
from aitbc_server.mail.outbox import Mailbox
from aitbc_server.tenants import repository
from aitbc_server.tenants.model import PlanRequestRow
from aitbc_server.tenants.repository import AskedFor
from aitbc_server.tenants.service import TenantService
from aitbc_server.users import repository as users

MAX_TEXT_LENGTH = 1000
#: So many requests are shown, of a tenant or of all.
SHOWN = 50
#: And so many that are over.
CLOSED_SHOWN = 10

#: Who may ask for another plan: who may say who else is in the tenant, which are its owners and admins.
MAY_REQUEST = Scope.MEMBERS_WRITE


class State(StrEnum):
    """What became of a request."""

    OPEN = "open"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a plan. ``present_plan`` is the name of the plan that the tenant is on now.

    ``requested_by`` and ``decided_by`` are e-mail addresses, or ids of accounts that are gone.
    """

    id: str
    tenant_id: str
    tenant_name: str
    present_plan: str
    plan: Plan
    requested_by: str
    requested_at: Timestamp
    note: str
    state: State
    decided_at: Timestamp | None
    decided_by: str | None
    answer: str | None


class PlanRequestService:
    """Makes, withdraws and decides requests; every step is one unit of work with its audit row.

    Raises ``insufficient_scope``, ``not_found``, ``validation_error``, and ``conflict`` for what is decided already.
    """

    def __init__(
        self, units: UnitsOfWork, audit: AuditLog, tenants: TenantService, mailbox: Mailbox, site_url: str
    ) -> None:
        self._units = units
        self._audit = audit
        self._tenants = tenants
        self._mailbox = mailbox
        self._site_url = site_url

    async def of_tenant(self, actor: Actor) -> list[PlanRequest]:
        """The newest requests of the actor's tenant, the newest first."""
        async with self._units.read() as session:
            return [_view(each) for each in await repository.requests_of(session, actor.tenant_id, SHOWN)]

    async def waiting(self) -> list[PlanRequest]:
        """The requests that wait for an operator, of all tenants, the newest first."""
        async with self._units.read() as session:
            return [_view(each) for each in await repository.requests_in(session, State.OPEN, SHOWN)]

    async def closed(self) -> list[PlanRequest]:
        """The requests that were decided or withdrawn, of all tenants, the last one first."""
        async with self._units.read() as session:
            return [_view(each) for each in await repository.closed_requests(session, CLOSED_SHOWN)]

    async def get(self, request_id: str) -> PlanRequest:
        """One request, for operators."""
        async with self._units.read() as session:
            found = await repository.requests_with(session, request_id)
        if not found:
            raise not_found()
        return _view(found[0])

    async def request(self, actor: Actor, plan_id: str, note: str = "") -> None:
        """Ask for another plan. A tenant has one open request at a time."""
        user_id = _requester(actor)
        note = _text("note", note)
        async with self._units.begin() as unit:
            tenant = await repository.tenant(unit.session, actor.tenant_id, for_update=True)
            plan = await repository.plan(unit.session, plan_id)
            if tenant is None:
                raise not_found()
            if plan is None:
                raise invalid("plan_id", "choose one of the plans")
            if plan.id == tenant.plan_id:
                raise invalid("plan_id", "is the one that you have")
            if await repository.has_open_request(unit.session, tenant.id):
                raise conflict("There is an open request already. Withdraw it first to ask for something else.")
            row = PlanRequestRow(
                id=new_id("prq"),
                tenant_id=tenant.id,
                plan_id=plan.id,
                requested_by=user_id,
                requested_at=now(self._units.clock),
                note=note,
                state=State.OPEN,
            )
            unit.session.add(row)
            await self._record(unit, actor, row, "plan_request.created")
            await unit.commit()

    async def withdraw(self, actor: Actor, request_id: str) -> None:
        """Take a request of the tenant back, whoever made it."""
        _requester(actor)
        async with self._units.begin() as unit:
            row = await repository.plan_request(unit.session, request_id)
            if row is None or row.tenant_id != actor.tenant_id:
                raise not_found()
            self._decide(row, actor, State.WITHDRAWN)
            await self._record(unit, actor, row, "plan_request.withdrawn")
            await unit.commit()

    async def approve(self, actor: Actor, request_id: str, answer: str = "") -> PlanRequest:
        """Put the tenant on the plan, from its next request on, and tell who asked. For operators."""
        return await self._answer(actor, request_id, State.APPROVED, answer)

    async def refuse(self, actor: Actor, request_id: str, answer: str = "") -> PlanRequest:
        """Leave the tenant as it is, and tell who asked. For operators."""
        return await self._answer(actor, request_id, State.REFUSED, answer)

    async def _answer(self, operator: Actor, request_id: str, state: State, answer: str) -> PlanRequest:
        answer = _text("answer", answer)
        async with self._units.begin() as unit:
            row = await repository.plan_request(unit.session, request_id)
            if row is None:
                raise not_found()
            # The change stands in the audit log of the tenant that it is about.
            actor = msgspec.structs.replace(operator, tenant_id=row.tenant_id)
            self._decide(row, actor, state, answer)
            if state is State.APPROVED:
                await self._tenants.put_on_plan(unit, actor, row.plan_id)
            await self._record(unit, actor, row, f"plan_request.{state}")
            decided = await self._tell(unit, row)
            await unit.commit()
            return decided

    def _decide(self, row: PlanRequestRow, actor: Actor, state: State, answer: str = "") -> None:
        if row.state != State.OPEN:
            raise conflict(f"This request was {row.state} already.")
        row.state, row.answer = state, answer or None
        row.decided_at, row.decided_by = now(self._units.clock), actor.id

    async def _record(self, unit: UnitOfWork, actor: Actor, row: PlanRequestRow, action: str) -> None:
        after = {"plan": row.plan_id, "note": row.note, "state": str(row.state), "answer": row.answer}
        told = {name: value for name, value in after.items() if value}
        await self._audit.record(unit.session, actor, action, ("plan_request", row.id), after=told)

    async def _tell(self, unit: UnitOfWork, row: PlanRequestRow) -> PlanRequest:
        """Mail the answer to who asked, where that account still is, in the same transaction."""
        await unit.session.flush()
        [asked] = await repository.requests_with(unit.session, row.id)
        user = await users.user(unit.session, row.requested_by)
        if user is not None and user.disabled_at is None:
            await self._mailbox.put(
                unit.session,
                user.email,
                Kind.PLAN_REQUEST_DECIDED,
                tenant=asked.tenant.name,
                plan=asked.plan.name,
                approved=row.state == State.APPROVED,
                answer=row.answer,
                link=f"{self._site_url}/plan",
            )
        return _view(asked)


def _requester(actor: Actor) -> str:
    """Whose request it is: a person's, who may speak for the tenant."""
    if actor.type != "user" or actor.id is None or not actor.may(MAY_REQUEST):
        raise insufficient_scope(MAY_REQUEST)
    return actor.id


def _text(field: str, text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    if len(text) > MAX_TEXT_LENGTH:
        raise invalid(field, f"must have at most {MAX_TEXT_LENGTH} characters")
    if any(not (character.isprintable() or character == "\n") for character in text):
        raise invalid(field, "must have no control characters")
    return text


def _view(asked: AskedFor) -> PlanRequest:
    row = asked.request
    return PlanRequest(
        id=row.id,
        tenant_id=row.tenant_id,
        tenant_name=asked.tenant.name,
        present_plan=asked.present_plan.name,
        plan=Plan(id=asked.plan.id, name=asked.plan.name, limit_per_minute=asked.plan.limit_per_minute),
        requested_by=row.requested_by if asked.user is None else asked.user.email,
        requested_at=row.requested_at,
        note=row.note,
        state=State(row.state),
        decided_at=row.decided_at,
        decided_by=row.decided_by if asked.decider is None else asked.decider.email,
        answer=row.answer,
    )
