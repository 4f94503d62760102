"""Who may ask for usage beside keys, and how large an answer may be."""

from __future__ import annotations

import pytest
from tests.usage.world import RETENTION, Key, World

from aitbc.schemas.scopes import Environment, Scope
from aitbc.schemas.usage import Granularity, GroupBy
from aitbc_server.actor import Actor
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import Code, DomainError
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.usage import service as service_module
from aitbc_server.usage.service import UsageService
from aitbc_server.usage.span import span


class Usage:
    """A usage service over a counter that tests fill themselves."""

    def __init__(self, world: World, live: Key, test: Key) -> None:
        self.counter = UsageCounter()
        self.live, self.test = live, test
        self.service = UsageService(
            UnitsOfWork(world.database, LocalFences(lambda _: None), world.clock), self.counter, RETENTION
        )
        self.span = span(None, None, Granularity.HOUR, world.clock.timestamp())
        for key, environment, decisions in ((live, "live", 2), (test, "test", 3)):
            for _ in range(decisions):
                self.counter.add(world.clock(), ("acme", environment, key.kid), "jobs.create", "allowed")


@pytest.fixture
async def usage(world: World) -> Usage:
    """Two decisions on a live key of acme, three on a test key."""
    await world.add_tenant("acme")
    return Usage(world, await world.add_key("acme"), await world.add_key("acme", "test"))


def person(*scopes: Scope, environment: Environment | None = None) -> Actor:
    """Somebody who is signed in."""
    return Actor(
        type="user", id="usr_1", name="Ada", tenant_id="acme", scopes=frozenset(scopes), environment=environment
    )


async def test_a_person_sees_both_environments(usage: Usage) -> None:
    """Together, or the one that they choose; any key of the tenant alone."""
    reader = person(Scope.USAGE_READ)
    both = await usage.service.of_tenant(reader, usage.span, GroupBy.KEY)
    assert [(each.key_id, each.points[0][1]) for each in both.series] == [(usage.test.id, 3), (usage.live.id, 2)]
    live = person(Scope.USAGE_READ, environment=Environment.LIVE)
    assert (await usage.service.of_tenant(live, usage.span, None)).totals.total == 2
    for key, total in ((usage.live, 2), (usage.test, 3)):
        assert (await usage.service.of_key(reader, key.id, usage.span, None)).totals.total == total


async def test_a_person_without_the_permission_sees_nothing(usage: Usage) -> None:
    """There is no key of their own to fall back to."""
    with pytest.raises(DomainError) as refused:
        await usage.service.of_tenant(person(), usage.span, None)
    assert refused.value.code == Code.INSUFFICIENT_SCOPE
    with pytest.raises(DomainError) as refused:
        await usage.service.of_key(person(), usage.live.id, usage.span, None)
    assert refused.value.code == Code.INSUFFICIENT_SCOPE


async def test_an_answer_has_an_end(usage: Usage, monkeypatch: pytest.MonkeyPatch) -> None:
    """More points than anybody can use are refused, with what to ask for instead; totals alone are never too many."""
    monkeypatch.setattr(service_module, "MAX_POINTS", 1)
    reader = person(Scope.USAGE_READ)
    with pytest.raises(DomainError, match="group_by: the answer has more than 1 points") as refused:
        await usage.service.of_tenant(reader, usage.span, GroupBy.KEY)
    assert refused.value.code == Code.VALIDATION_ERROR
    assert (await usage.service.of_tenant(reader, usage.span, None)).totals.total == 5
