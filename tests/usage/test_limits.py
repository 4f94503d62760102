"""Limits as they stand, for pages: right, and at no cost."""

from __future__ import annotations

import pytest
from tests.usage.world import World

from aitbc.schemas.scopes import Environment, Scope
from aitbc_server.actor import Actor
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import Code, DomainError
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.records import limit_set, tenant_record
from aitbc_server.gate.store_memory import MemoryStore
from aitbc_server.usage.limits import LimitStates


class Limits:
    """A store that tests take from, and the service that looks at it."""

    def __init__(self, world: World) -> None:
        self.counter = UsageCounter()
        self._store = MemoryStore(world.clock, self.counter)
        units = UnitsOfWork(world.database, LocalFences(lambda _: None), world.clock)
        self.service = LimitStates(units, self._store)

    async def take(self, kid: str, own: int | None = None) -> None:
        """A request of acme's."""
        limits = limit_set(tenant_record("acme", "acme", "free", 60, suspended=False), kid, own)
        await self._store.take("acme", limits, 1, ("acme", "live", kid), "jobs.list", "allowed")


@pytest.fixture
async def limits(world: World) -> Limits:
    """acme is on plan free."""
    await world.add_tenant("acme", "free")
    await world.add_tenant("rival", "free")
    return Limits(world)


def reader(*scopes: Scope, tenant: str = "acme", environment: Environment | None = None) -> Actor:
    """Somebody who may see usage, or has just these scopes."""
    held = frozenset(scopes or (Scope.USAGE_READ,))
    return Actor(type="user", id="usr_1", name="Ada", tenant_id=tenant, scopes=held, environment=environment)


async def test_a_tenants_limit_is_shown_as_it_stands(world: World, limits: Limits) -> None:
    """The plan's name, its limit, what is left and when the oldest request stops counting."""
    assert await limits.service.of_tenant(reader()) == [("Free", False, 60, 60, 0)]
    key = await world.add_key("acme")
    await limits.take(key.kid)
    world.clock.now_us += 20_000_000
    await limits.take(key.kid)
    for _ in range(70):
        assert await limits.service.of_tenant(reader()) == [("Free", False, 60, 58, 40)]
    assert sum(count.decisions for count in limits.counter.totals()) == 2
    assert await limits.service.of_tenant(reader(tenant="rival")) == [("Free", False, 60, 60, 0)]


async def test_a_keys_own_limit_stands_beside_the_plans(world: World, limits: Limits) -> None:
    """Both apply to each of its requests."""
    key, plain = await world.add_key("acme", limit_per_minute=5), await world.add_key("acme")
    await limits.take(key.kid, 5)
    await limits.take(plain.kid)
    assert await limits.service.of_key(reader(), key.id) == [("Free", False, 60, 58, 60), ("", True, 5, 4, 60)]
    assert await limits.service.of_key(reader(), plain.id) == [("Free", False, 60, 58, 60)]


async def test_only_what_the_reader_may_see_is_shown(world: World, limits: Limits) -> None:
    """A foreign key is not found, and usage:read is needed. ASVS 8.2.1, 8.2.2."""
    foreign, test = await world.add_key("rival"), await world.add_key("acme", "test")
    live = reader(environment=Environment.LIVE)
    for question, code in (
        (limits.service.of_key(reader(), foreign.id), Code.NOT_FOUND),
        (limits.service.of_key(live, test.id), Code.NOT_FOUND),
        (limits.service.of_key(reader(), "nonsense"), Code.NOT_FOUND),
        (limits.service.of_tenant(reader(tenant="gone")), Code.NOT_FOUND),
        (limits.service.of_tenant(reader(Scope.JOBS_READ)), Code.INSUFFICIENT_SCOPE),
    ):
        with pytest.raises(DomainError) as refused:
            await question
        assert refused.value.code == code
