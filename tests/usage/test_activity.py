"""What pages show of activity: exact from memory and database together, and of the reader's tenant alone."""

from __future__ import annotations

import pytest
from sqlalchemy import event
from tests.usage.world import MINUTE_US, RETENTION, Key, World

from aitbc.schemas.scopes import Environment, Scope
from aitbc_server.actor import Actor
from aitbc_server.clock import from_ms
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import Code, DomainError
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.usage import repository
from aitbc_server.usage.activity import Day, Start, UsageActivity

HOUR_US = 60 * MINUTE_US


class Counted:
    """Decisions as a server counts them: in memory, and stored when a test says so."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.counter = UsageCounter()
        units = UnitsOfWork(world.database, LocalFences(lambda _: None), world.clock)
        self.activity = UsageActivity(units, self.counter, RETENTION)

    def add(self, key: Key, outcome: str = "allowed", operation: str = "jobs.create", *, tenant: str = "acme") -> None:
        """One decision now."""
        self.counter.add(self._world.clock(), (tenant, "live", key.kid), operation, outcome)

    async def store(self, *, forget: bool = True) -> None:
        """Write everything into the database, as the flusher does; it may still be in memory then."""
        for ledger in self.counter.ledgers():
            rows = [
                {
                    "tenant_id": usage_id[0],
                    "environment": usage_id[1],
                    "kid": usage_id[2],
                    "minute": from_ms(ledger.minute_us // 1000),
                    "outcome": outcome,
                    "operation": operation,
                    "source": ledger.source,
                    "count": count,
                }
                for (usage_id, operation, outcome), count in ledger.counts.items()
            ]
            async with self._world.database.write() as session:
                await repository.raise_counts(session, rows)
                await session.commit()
            if forget:
                self.counter.forget(ledger, ledger.total)


@pytest.fixture
async def counted(world: World) -> Counted:
    """An installation with two tenants and nothing counted."""
    for tenant in ("acme", "rival"):
        await world.add_tenant(tenant)
    return Counted(world)


def reader(tenant: str = "acme", *, environment: Environment | None = None) -> Actor:
    """Somebody who may see usage."""
    scopes = frozenset({Scope.USAGE_READ})
    return Actor(type="user", id="usr_1", name="Ada", tenant_id=tenant, scopes=scopes, environment=environment)


def nobody() -> Actor:
    """Somebody who may not."""
    return Actor(type="user", id="usr_2", name="Bob", tenant_id="acme", scopes=frozenset())


def day(allowed: dict[int, int], refused: dict[int, int] | None = None) -> Day:
    """24 numbers each, those that are not named 0; the present hour is 23."""
    return Day(*[[given.get(hour, 0) for hour in range(24)] for given in (allowed, refused or {})])


async def test_a_day_is_exact_whether_stored_or_not(world: World, counted: Counted) -> None:
    """24 hours, the present one last; what is stored and still in memory is counted once."""
    key, idle = await world.add_key("acme"), await world.add_key("acme")
    world.clock.now_us -= 24 * HOUR_US
    counted.add(key)
    for hours, outcomes in ((1, ["allowed"]), (22, ["allowed", "rate_limit_exceeded"]), (1, ["allowed", "allowed"])):
        world.clock.now_us += hours * HOUR_US
        for outcome in outcomes:
            counted.add(key, outcome)
    expected = {key.id: day({0: 1, 22: 1, 23: 2}, {22: 1}), idle.id: day({})}
    assert await counted.activity.days(reader(), [key.id, idle.id]) == expected
    await counted.store(forget=False)
    assert await counted.activity.days(reader(), [key.id, idle.id]) == expected
    await counted.store()
    assert await counted.activity.days(reader(), [key.id, idle.id]) == expected
    counted.add(key)
    expected[key.id].allowed[23] += 1
    assert await counted.activity.days(reader(), [key.id, idle.id]) == expected


async def test_the_days_of_a_whole_page_are_one_query(world: World, counted: Counted) -> None:
    """A list of fifty keys does not ask fifty times."""
    keys = [await world.add_key("acme") for _ in range(5)]
    statements: list[str] = []
    event.listen(
        world.database._reader.sync_engine, "before_cursor_execute", lambda *args: statements.append(str(args[2]))
    )
    await counted.activity.days(reader(), [key.id for key in keys])
    about = [each for each in statements if "usage_" in each]
    assert ["usage_marks" in each for each in about] == [True, False]
    assert await counted.activity.days(reader(), []) == {}


async def test_another_tenants_traffic_is_not_shown(world: World, counted: Counted) -> None:
    """A key's decisions in another tenant are that tenant's to see. ASVS 8.4.1."""
    key = await world.add_key("acme", also=["rival"])
    counted.add(key, tenant="rival")
    counted.add(key, "rate_limit_exceeded", tenant="rival")
    for _ in range(2):
        assert (await counted.activity.days(reader(), [key.id]))[key.id] == day({})
        assert (await counted.activity.days(reader("rival"), [key.id]))[key.id] == day({23: 1}, {23: 1})
        assert await counted.activity.recent_refusals(reader(), None) == []
        assert len(await counted.activity.recent_refusals(reader("rival"), key.id)) == 1
        await counted.store()


async def test_refusals_are_told_by_minute_key_reason_and_operation(world: World, counted: Counted) -> None:
    """The newest first, each with how often; of one minute, what was refused most often.

    Allowed calls are not among them, nor those of other keys where one is asked about.
    """
    key, other = await world.add_key("acme"), await world.add_key("acme")
    first = world.clock.timestamp().replace(second=0)
    counted.add(key, "insufficient_scope", "jobs.create")
    counted.add(key, "insufficient_scope", "jobs.create")
    counted.add(key)
    await counted.store(forget=False)
    world.clock.now_us += MINUTE_US
    second = world.clock.timestamp().replace(second=0)
    counted.add(key, "rate_limit_exceeded", "miners.poll")
    counted.add(other, "ip_not_allowed")
    counted.add(other, "ip_not_allowed")
    expected = [
        (second, key.id, "rate_limit_exceeded", "miners.poll", 1),
        (first, key.id, "insufficient_scope", "jobs.create", 2),
    ]
    for _ in range(2):
        assert await counted.activity.recent_refusals(reader(), key.id) == expected
        assert await counted.activity.recent_refusals(reader(), key.id, limit=1) == expected[:1]
        assert [(each.key_id, each.times) for each in await counted.activity.recent_refusals(reader(), None)] == [
            (other.id, 2),
            (key.id, 1),
            (key.id, 2),
        ]
        await counted.store()
    world.clock.now_us += 8 * 24 * HOUR_US
    assert await counted.activity.recent_refusals(reader(), key.id) == []


async def test_refusals_of_a_week_are_found(world: World, counted: Counted) -> None:
    """However long ago within it, the newest first."""
    key = await world.add_key("acme")
    for hours in (150, 20, 0):
        world.clock.now_us -= hours * HOUR_US
        counted.add(key, "insufficient_scope", f"op.{hours}")
        world.clock.now_us += hours * HOUR_US
    for _ in range(2):
        found = await counted.activity.recent_refusals(reader(), None)
        assert [each.operation for each in found] == ["op.0", "op.20", "op.150"]
        assert len(await counted.activity.recent_refusals(reader(), key.id, limit=2)) == 2
        await counted.store()


async def test_a_foreign_key_has_no_refusals_to_show(world: World, counted: Counted) -> None:
    """Another tenant's key, one of the other environment and none at all: the same answer. ASVS 8.2.2."""
    foreign, test = await world.add_key("rival"), await world.add_key("acme", "test")
    for key_id, actor in (
        (foreign.id, reader()),
        (test.id, reader(environment=Environment.LIVE)),
        ("key_000000000000", reader()),
        ("nonsense", reader()),
    ):
        with pytest.raises(DomainError) as refused:
            await counted.activity.recent_refusals(actor, key_id)
        assert refused.value.code == Code.NOT_FOUND


async def test_a_start_ends_with_the_first_successful_call(world: World, counted: Counted) -> None:
    """Nothing, then a key, then a call that was allowed: seen at once, and for ever. Development keys do not count."""
    local = await world.add_key("acme", made_by_dev=True)
    counted.add(local)
    assert await counted.activity.start(reader()) == Start(0, False)
    await counted.store()
    key = await world.add_key("acme")
    counted.add(key, "insufficient_scope")
    assert await counted.activity.start(reader()) == Start(1, False)
    counted.add(key)
    assert await counted.activity.start(reader()) == Start(1, True, 2, has_live=True)
    await counted.store()
    world.clock.now_us += 400 * 24 * HOUR_US
    assert await counted.activity.start(reader()) == Start(1, True, 2, has_live=True)
    assert await counted.activity.start(reader("rival")) == Start(0, False)


async def test_keys_have_names_in_their_own_tenant_alone(world: World, counted: Counted) -> None:
    """A key that acts for another tenant is known there by its id."""
    key = await world.add_key("acme", also=["rival"])
    assert await counted.activity.key_names(reader(), [key.id, "nonsense"]) == {key.id: "a key"}
    assert await counted.activity.key_names(reader("rival"), [key.id]) == {}
    assert await counted.activity.key_names(reader(), []) == {}


async def test_a_decision_moves_the_tenants_pulse(world: World, counted: Counted) -> None:
    """Nobody else's does."""
    key = await world.add_key("acme")
    before = counted.activity.pulse(reader())
    counted.add(key, tenant="rival")
    assert counted.activity.pulse(reader()) == before
    counted.add(key)
    assert counted.activity.pulse(reader()) != before


async def test_who_may_not_see_usage_sees_no_activity(world: World, counted: Counted) -> None:
    """None of the questions is answered without usage:read. ASVS 8.2.1."""
    key = await world.add_key("acme")
    for question in (
        counted.activity.days(nobody(), [key.id]),
        counted.activity.recent_refusals(nobody(), key.id),
        counted.activity.start(nobody()),
    ):
        with pytest.raises(DomainError) as refused:
            await question
        assert refused.value.code == Code.INSUFFICIENT_SCOPE
