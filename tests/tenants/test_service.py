"""Tenants and plans, on both databases: what operators do to them, recorded, and in effect."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from sqlalchemy import select

from aitbc_server.actor import Actor, operator
from aitbc_server.audit.model import AuditEventRow
from aitbc_server.audit.service import AuditLog
from aitbc_server.audit.verify import verify
from aitbc_server.clock import from_ms
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import DomainError
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.tenants.plans import MAX_LIMIT_PER_MINUTE, PlanService
from aitbc_server.tenants.service import OPERATOR_TENANT, TenantService

NOW_US = 1_800_000_000_000_000
SECRET_KEYS = SecretKeys([b"s" * 32])


class World:
    """The services over one database, and whose records they made stale."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.stale: list[set[str]] = []
        units = UnitsOfWork(database, LocalFences(self._drop), lambda: NOW_US)
        audit = AuditLog(SECRET_KEYS, lambda: NOW_US)
        self.tenants = TenantService(units, audit)
        self.plans = PlanService(units, audit)

    def _drop(self, tenant_ids: Iterable[str]) -> None:
        self.stale.append(set(tenant_ids))

    async def events(self) -> list[tuple[str, str, object, object]]:
        """What the audit log says: tenant, action, before, after."""
        async with self.database.read() as session:
            rows = await session.scalars(
                select(AuditEventRow).order_by(AuditEventRow.tenant_id, AuditEventRow.sequence)
            )
            return [(row.tenant_id, row.action, row.before, row.after) for row in rows]


@pytest.fixture
def world(database: Database) -> World:
    """A world without tenants."""
    return World(database)


def on(tenant_id: str) -> Actor:
    """The operator, at work on this tenant."""
    return operator("test", tenant_id)


async def refusal(work: object) -> tuple[str, str]:
    """The code and detail with which the work is refused."""
    with pytest.raises(DomainError) as caught:
        await work  # type: ignore[misc]
    return caught.value.code, caught.value.detail


async def test_the_operators_own_tenant_is_not_suspended(world: World) -> None:
    """By a command as little as by a form: operators would refuse their own keys, and those of all gateways."""
    await world.tenants.ensure_operator_tenant(on(OPERATOR_TENANT))
    code, detail = await refusal(world.tenants.suspend(on(OPERATOR_TENANT)))
    assert (code, detail) == (
        "conflict",
        "The operators' own tenant cannot be suspended. To stop a key of it, revoke the key.",
    )
    assert (await world.tenants.get(OPERATOR_TENANT)).status == "active"


async def test_a_tenant_is_created_with_a_plan(world: World) -> None:
    """It is active, named after its id unless a name is given, and its birth is in its own audit log."""
    made = await world.tenants.create(on("acme"), "free")
    assert (made.id, made.name, made.plan, made.status) == ("acme", "acme", "free", "active")
    assert made.created_at == from_ms(NOW_US // 1000)
    named = await world.tenants.create(on("b-2"), "pro", "B & Söhne")
    assert named.name == "B & Söhne"
    assert await world.tenants.get("acme") == made
    assert [tenant.id for tenant in await world.tenants.list()] == ["acme", "b-2"]
    assert [(tenant, action) for tenant, action, _, _ in await world.events()] == [
        ("acme", "tenant.created"),
        ("b-2", "tenant.created"),
    ]


@pytest.mark.parametrize("slug", ["", "A", "a_b", "-a", "a-", "a" * 64, "a\n", "a b", "ä", "a/b", "operator"])
async def test_slugs_that_cannot_be(world: World, slug: str) -> None:
    """A slug goes into headers, addresses and logs: nothing but lower case letters, digits and hyphens."""
    code, detail = await refusal(world.tenants.create(on(slug), "free"))
    assert code == "validation_error"
    assert detail.startswith("id: ")
    assert await world.tenants.list() == []


@pytest.mark.parametrize("name", [" ", "a\nb", "a\x00b", "x" * 101, "\u202eevil"])
async def test_names_that_cannot_be(world: World, name: str) -> None:
    """A name ends up on terminals and pages."""
    assert (await refusal(world.tenants.create(on("acme"), "free", name)))[0] == "validation_error"


async def test_twice_is_a_conflict_and_an_unknown_plan_says_which_there_are(world: World) -> None:
    """Bad input gets a clear error and changes nothing."""
    await world.tenants.create(on("acme"), "free")
    assert (await refusal(world.tenants.create(on("acme"), "pro")))[0] == "conflict"
    assert await refusal(world.tenants.create(on("new"), "gold")) == (
        "validation_error",
        "plan: there is no plan gold; there are free, pro, enterprise",
    )
    assert (await refusal(world.tenants.set_plan(on("acme"), "gold")))[0] == "validation_error"
    for work in (
        world.tenants.set_plan(on("nobody"), "pro"),
        world.tenants.suspend(on("nobody")),
        world.tenants.resume(on("nobody")),
        world.tenants.get("nobody"),
    ):
        assert await refusal(work) == ("not_found", "There is no tenant nobody.")
    assert (await world.tenants.get("acme")).plan == "free"


async def test_changes_are_recorded_with_what_changed_and_make_stale(world: World) -> None:
    """Each change is one audit row and one fence; what changes nothing leaves no trace."""
    await world.tenants.create(on("acme"), "free")
    world.stale.clear()
    assert (await world.tenants.set_plan(on("acme"), "pro")).plan == "pro"
    assert (await world.tenants.suspend(on("acme"))).status == "suspended"
    assert (await world.tenants.suspend(on("acme"))).status == "suspended"
    assert (await world.tenants.resume(on("acme"))).status == "active"
    assert (await world.tenants.resume(on("acme"))).status == "active"
    assert (await world.tenants.set_plan(on("acme"), "pro")).plan == "pro"
    assert world.stale == [{"acme"}] * 3
    assert (await world.events())[1:] == [
        ("acme", "tenant.plan_changed", {"plan": "free"}, {"plan": "pro"}),
        ("acme", "tenant.suspended", {"status": "active"}, {"status": "suspended"}),
        ("acme", "tenant.resumed", {"status": "suspended"}, {"status": "active"}),
    ]
    async with world.database.read() as session:
        assert (await verify(session, SECRET_KEYS)).ok


async def test_the_operators_own_tenant_is_made_once(world: World) -> None:
    """Gateway keys have a home of their own, on the largest plan."""
    for _ in range(2):
        await world.tenants.ensure_operator_tenant(on(OPERATOR_TENANT))
    assert [(tenant.id, tenant.plan) for tenant in await world.tenants.list()] == [(OPERATOR_TENANT, "enterprise")]


async def test_operators_add_plans_and_change_them_for_everybody_on_them(world: World) -> None:
    """A plan's change makes every tenant on it stale, and nobody else (design 6)."""
    made = await world.plans.create(on(OPERATOR_TENANT), "tiny", 5)
    assert (made.name, made.limit_per_minute) == ("tiny", 5)
    for tenant_id, plan in (("a", "tiny"), ("b", "tiny"), ("c", "free")):
        await world.tenants.create(on(tenant_id), plan)
    world.stale.clear()
    changed = await world.plans.update(on(OPERATOR_TENANT), "tiny", limit_per_minute=7, name="Tiny")
    assert (changed.name, changed.limit_per_minute) == ("Tiny", 7)
    assert world.stale == [{"a", "b"}]
    await world.plans.update(on(OPERATOR_TENANT), "tiny", limit_per_minute=7)
    assert world.stale == [{"a", "b"}]
    assert [plan.id for plan in await world.plans.list()] == ["tiny", "free", "pro", "enterprise"]
    assert [action for tenant, action, _, _ in await world.events() if tenant == OPERATOR_TENANT] == [
        "plan.created",
        "plan.updated",
    ]


async def test_plans_that_cannot_be(world: World) -> None:
    """A plan's id stands in limit headers, where `key` means a key's own limit."""
    for plan_id, limit, name in (("key", 5, None), ("A", 5, None), ("a", 0, None), ("a", 5, "\n")):
        assert (await refusal(world.plans.create(on(OPERATOR_TENANT), plan_id, limit, name)))[0] == "validation_error"
    too_many = world.plans.update(on(OPERATOR_TENANT), "free", limit_per_minute=MAX_LIMIT_PER_MINUTE + 1)
    assert (await refusal(too_many))[0] == "validation_error"
    assert (await refusal(world.plans.create(on(OPERATOR_TENANT), "free", 5)))[0] == "conflict"
    assert (await refusal(world.plans.update(on(OPERATOR_TENANT), "gold")))[0] == "not_found"
    assert [plan.limit_per_minute for plan in await world.plans.list()] == [60, 600, 6000]
