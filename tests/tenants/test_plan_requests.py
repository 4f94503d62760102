"""Requests for another plan, on both databases: who may make and decide them, and what follows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc.schemas.scopes import Scope
from aitbc_server.actor import Actor
from aitbc_server.audit.model import AuditEventRow
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import from_ms
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import Code, DomainError
from aitbc_server.mail.outbox import Mailbox
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.tenants.model import TenantRow
from aitbc_server.tenants.plan_requests import PlanRequest, PlanRequestService, State
from aitbc_server.tenants.service import TenantService
from aitbc_server.users.model import UserRow

NOW_US = 1_800_000_000_000_000
SECRET_KEYS = SecretKeys([b"s" * 32])
OPERATOR = Actor(type="operator", id="usr_boss", name="boss@example.com", tenant_id="", scopes=frozenset())


class Mails(Mailbox):
    """Remembers what was put, when it was committed or not."""

    def __init__(self) -> None:
        super().__init__(SECRET_KEYS, lambda: NOW_US)
        self.put_ones: list[tuple[str, str, dict[str, Any]]] = []

    async def put(self, session: AsyncSession, recipient: str, kind: str, **parameters: Any) -> None:
        """See ``Mailbox``."""
        await super().put(session, recipient, kind, **parameters)
        self.put_ones.append((recipient, str(kind), parameters))


class World:
    """The service over one database, and whose records it made stale."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.stale: set[str] = set()
        self.mails = Mails()
        units = UnitsOfWork(database, LocalFences(self._drop), lambda: NOW_US)
        audit = AuditLog(SECRET_KEYS, lambda: NOW_US)
        self.tenants = TenantService(units, audit)
        self.requests = PlanRequestService(units, audit, self.tenants, self.mails, "https://aitbc.example")

    def _drop(self, tenant_ids: Iterable[str]) -> None:
        self.stale.update(tenant_ids)

    async def events(self) -> list[tuple[str, str, str | None, Any]]:
        """What the audit log says: tenant, action, actor, after."""
        async with self.database.read() as session:
            rows = await session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence))
            return [(row.tenant_id, row.action, row.actor_name, row.after) for row in rows]

    async def add(self, *rows: TenantRow | UserRow) -> None:
        """Straight into the database."""
        async with self.database.write() as session:
            session.add_all(rows)
            await session.commit()


@pytest.fixture
async def world(database: Database) -> World:
    """Two tenants on plan free; ada owns acme."""
    world = World(database)
    at = from_ms(NOW_US // 1000)
    await world.add(
        TenantRow(id="acme", name="Acme", plan_id="free", created_at=at),
        TenantRow(id="rival", name="Rival", plan_id="free", created_at=at),
        UserRow(id="usr_ada", email="ada@example.com", name="Ada", created_at=at, verified_at=at),
    )
    return world


def owner(tenant: str = "acme", *scopes: Scope, user: str = "usr_ada") -> Actor:
    """Somebody who runs the tenant, or has just these scopes."""
    held = frozenset(scopes or Scope)
    return Actor(type="user", id=user, name="ada@example.com", tenant_id=tenant, scopes=held)


async def asked(world: World, plan: str = "pro", note: str = "We grow.") -> PlanRequest:
    """acme's open request."""
    await world.requests.request(owner(), plan, note)
    return (await world.requests.of_tenant(owner()))[0]


async def refusal(work: Any) -> tuple[Code, str]:
    """The code and detail with which the work is refused."""
    with pytest.raises(DomainError) as caught:
        await work
    return caught.value.code, caught.value.detail


async def test_a_request_waits_for_the_operators(world: World) -> None:
    """It says who wants what for whom; the tenant stays as it is, and sees its request as open."""
    request = await asked(world)
    assert await world.requests.waiting() == [request]
    assert (request.tenant_name, request.present_plan, request.plan.id) == ("Acme", "Free", "pro")
    assert (request.requested_by, request.note, request.state) == ("ada@example.com", "We grow.", "open")
    assert (await world.tenants.get("acme")).plan == "free"
    assert await world.requests.of_tenant(owner("rival")) == []
    assert await world.events() == [
        ("acme", "plan_request.created", "ada@example.com", {"plan": "pro", "note": "We grow.", "state": "open"})
    ]


async def test_an_approved_request_is_in_effect_at_once(world: World) -> None:
    """Plan, request, audit rows and mail in one transaction; the gate drops what it knew of the tenant."""
    request = await asked(world)
    decided = await world.requests.approve(OPERATOR, request.id, "Welcome.")
    assert (decided.state, decided.answer, decided.present_plan) == ("approved", "Welcome.", "Pro")
    assert (await world.tenants.get("acme")).plan == "pro"
    assert world.stale == {"acme"}
    assert [(tenant, action, actor) for tenant, action, actor, _ in await world.events()][1:] == [
        ("acme", "tenant.plan_changed", "boss@example.com"),
        ("acme", "plan_request.approved", "boss@example.com"),
    ]
    assert world.mails.put_ones == [
        (
            "ada@example.com",
            "plan_request_decided",
            {
                "tenant": "Acme",
                "plan": "Pro",
                "approved": True,
                "answer": "Welcome.",
                "link": "https://aitbc.example/plan",
            },
        )
    ]
    assert await world.requests.waiting() == []


async def test_a_refused_request_changes_nothing_else(world: World) -> None:
    """The answer reaches who asked; afterwards something else may be asked for."""
    request = await asked(world)
    decided = await world.requests.refuse(OPERATOR, request.id, "Please pay first.")
    assert (decided.state, decided.present_plan) == ("refused", "Free")
    assert world.mails.put_ones[0][2]["approved"] is False
    assert world.stale == set()
    await world.requests.request(owner(), "enterprise")
    assert [each.state for each in await world.requests.of_tenant(owner())].count(State.OPEN) == 1


async def test_a_request_is_decided_once(world: World) -> None:
    """Whoever comes second is told so, and nothing happens twice."""
    request = await asked(world)
    await world.requests.refuse(OPERATOR, request.id)
    for late in (
        world.requests.approve(OPERATOR, request.id),
        world.requests.refuse(OPERATOR, request.id),
        world.requests.withdraw(owner(), request.id),
    ):
        assert await refusal(late) == (Code.CONFLICT, "This request was refused already.")
    assert (await world.tenants.get("acme")).plan == "free"
    assert len(world.mails.put_ones) == 1


async def test_a_request_may_be_withdrawn(world: World) -> None:
    """By its tenant alone: to others it is not found. ASVS 8.2.2."""
    request = await asked(world)
    assert (await refusal(world.requests.withdraw(owner("rival"), request.id)))[0] == Code.NOT_FOUND
    assert (await refusal(world.requests.withdraw(owner(), "prq_none")))[0] == Code.NOT_FOUND
    await world.requests.withdraw(owner(), request.id)
    assert [each.state for each in await world.requests.of_tenant(owner())] == ["withdrawn"]
    assert world.mails.put_ones == []
    assert await refusal(world.requests.approve(OPERATOR, request.id)) == (
        Code.CONFLICT,
        "This request was withdrawn already.",
    )


async def test_only_who_runs_the_tenant_may_ask(world: World) -> None:
    """A developer may not, nor an API key, whatever its scopes. ASVS 8.2.1."""
    key = Actor(type="api_key", id="key_1", name="a key", tenant_id="acme", scopes=frozenset(Scope))
    for actor in (owner("acme", Scope.USAGE_READ, Scope.MEMBERS_READ), key):
        assert (await refusal(world.requests.request(actor, "pro")))[0] == Code.INSUFFICIENT_SCOPE
        assert (await refusal(world.requests.withdraw(actor, "prq_none")))[0] == Code.INSUFFICIENT_SCOPE
    assert await world.requests.waiting() == []


async def test_what_makes_no_sense_is_refused(world: World) -> None:
    """The present plan, an unknown one, a second request, a tenant that is gone, texts that are no texts."""
    for plan, note, code, detail in (
        ("free", "", Code.VALIDATION_ERROR, "plan_id: is the one that you have"),
        ("gold", "", Code.VALIDATION_ERROR, "plan_id: choose one of the plans"),
        ("pro", "x" * 1001, Code.VALIDATION_ERROR, "note: must have at most 1000 characters"),
        ("pro", "a\x00b", Code.VALIDATION_ERROR, "note: must have no control characters"),
    ):
        assert await refusal(world.requests.request(owner(), plan, note)) == (code, detail)
    assert (await refusal(world.requests.request(owner("gone"), "pro")))[0] == Code.NOT_FOUND
    await asked(world, note="Two\r\nlines")
    assert (await world.requests.waiting())[0].note == "Two\nlines"
    assert (await refusal(world.requests.request(owner(), "enterprise")))[0] == Code.CONFLICT
    assert (await refusal(world.requests.approve(OPERATOR, "prq_none")))[0] == Code.NOT_FOUND
    assert len(await world.events()) == 1


async def test_an_account_that_is_gone_gets_no_mail(world: World) -> None:
    """The decision holds all the same; the operators see the id of who asked."""
    await world.requests.request(owner(user="usr_gone"), "pro")
    [request] = await world.requests.waiting()
    assert request.requested_by == "usr_gone"
    assert (await world.requests.approve(OPERATOR, request.id)).state == "approved"
    assert world.mails.put_ones == []
