"""Idempotency keys: one object for a request that comes again, on both databases, under concurrency."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from aitbc.schemas.scopes import Environment
from aitbc_server.actor import Actor
from aitbc_server.clock import US_PER_S
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import Code, DomainError
from aitbc_server.idempotency.model import IdempotencyKeyRow
from aitbc_server.idempotency.service import LIFETIME, IdempotencyKeys

START_US = 1_800_000_000 * US_PER_S


class TurnableClock:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now_us = START_US

    def __call__(self) -> int:
        """Microseconds since the epoch."""
        return self.now_us

    def forward(self, by: timedelta) -> None:
        """Turn it."""
        self.now_us += by // timedelta(microseconds=1)


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def units(database: Database, clock: TurnableClock) -> UnitsOfWork:
    return UnitsOfWork(database, LocalFences(lambda tenant_ids: None), clock)


@pytest.fixture
def idempotency(units: UnitsOfWork) -> IdempotencyKeys:
    return IdempotencyKeys(units)


def actor(tenant_id: str = "acme", environment: Environment = Environment.LIVE) -> Actor:
    return Actor(type="api_key", id="key_a", name="a", tenant_id=tenant_id, scopes=frozenset(), environment=environment)


async def make(
    idempotency: IdempotencyKeys,
    units: UnitsOfWork,
    object_id: str,
    *,
    who: Actor | None = None,
    route: str = "jobs.create",
    key: str | None = "k",
    body: Any = None,
) -> str:
    """What a service does: the id of the object that the request made or had made before."""
    with idempotency.running(who or actor(), route, key, body or {"a": 1}) as claim:
        async with units.begin() as unit:
            earlier_id = await idempotency.claim(unit.session, claim, object_id)
            if earlier_id is not None:
                return earlier_id
            await unit.commit()
            return object_id


async def test_the_second_time_is_answered_with_the_first_object(
    idempotency: IdempotencyKeys, units: UnitsOfWork
) -> None:
    """A replay gets the id that was made first, however the body is spelled."""
    assert await make(idempotency, units, "job_1", body={"a": 1, "b": [None]}) == "job_1"
    assert await make(idempotency, units, "job_2", body={"b": [None], "a": 1}) == "job_1"


async def test_without_a_key_nothing_is_remembered(idempotency: IdempotencyKeys, units: UnitsOfWork) -> None:
    """A request without the header is done each time."""
    assert await make(idempotency, units, "job_1", key=None) == "job_1"
    assert await make(idempotency, units, "job_2", key=None) == "job_2"


async def test_another_body_is_a_conflict(idempotency: IdempotencyKeys, units: UnitsOfWork) -> None:
    """The same key with another request is refused; the first object stays the answer to the first request."""
    await make(idempotency, units, "job_1")
    with pytest.raises(DomainError) as raised:
        await make(idempotency, units, "job_2", body={"a": 2})
    assert raised.value.code is Code.CONFLICT
    assert await make(idempotency, units, "job_3") == "job_1"


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"who": actor("other")},
        {"who": actor(environment=Environment.TEST)},
        {"route": "api_keys.create"},
        {"key": "k2"},
    ],
    ids=lambda elsewhere: next(iter(elsewhere)),
)
async def test_keys_are_apart_by_tenant_environment_and_route(
    idempotency: IdempotencyKeys, units: UnitsOfWork, elsewhere: dict[str, Any]
) -> None:
    """Design 7: unique per tenant, environment and route."""
    await make(idempotency, units, "job_1")
    assert await make(idempotency, units, "job_2", **elsewhere) == "job_2"


async def test_a_key_is_free_again_after_24_hours(
    idempotency: IdempotencyKeys, units: UnitsOfWork, clock: TurnableClock
) -> None:
    """One millisecond before, it is still a replay; the new object is then remembered for a day of its own."""
    await make(idempotency, units, "job_1")
    clock.forward(LIFETIME - timedelta(milliseconds=1))
    assert await make(idempotency, units, "job_2") == "job_1"
    clock.forward(timedelta(milliseconds=1))
    assert await make(idempotency, units, "job_3", body={"a": 3}) == "job_3"
    clock.forward(LIFETIME - timedelta(milliseconds=1))
    assert await make(idempotency, units, "job_4", body={"a": 3}) == "job_3"


async def test_a_creation_that_fails_frees_its_key(idempotency: IdempotencyKeys, units: UnitsOfWork) -> None:
    """Nothing is remembered of a transaction that was not committed, so that a retry can do it."""
    with idempotency.running(actor(), "jobs.create", "k", {"a": 1}) as claim:
        async with units.begin() as unit:
            assert await idempotency.claim(unit.session, claim, "job_1") is None
            await unit.session.flush()
    assert await make(idempotency, units, "job_2") == "job_2"


async def test_a_duplicate_while_the_first_is_running_is_a_conflict(
    idempotency: IdempotencyKeys, units: UnitsOfWork
) -> None:
    """Design 7, in one process: the second is refused at once, whether its body is the same or not."""
    with idempotency.running(actor(), "jobs.create", "k", {"a": 1}):
        for body in ({"a": 1}, {"a": 2}):
            with pytest.raises(DomainError) as raised:
                await make(idempotency, units, "job_2", body=body)
            assert raised.value.code is Code.CONFLICT
    assert await make(idempotency, units, "job_3") == "job_3"


async def test_two_nodes_never_make_two_objects(database: Database, units: UnitsOfWork) -> None:
    """Twenty requests at once on four nodes: one object, and everybody else gets it or a conflict, never an error."""
    nodes = [IdempotencyKeys(units) for _ in range(4)]

    async def attempt(number: int) -> str:
        try:
            return await make(nodes[number % 4], units, f"job_{number}")
        except DomainError as error:
            return error.code

    answers = set(await asyncio.gather(*(attempt(number) for number in range(20)))) - {Code.CONFLICT}
    assert len(answers) == 1
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(IdempotencyKeyRow)) == 1
        assert set(await session.scalars(select(IdempotencyKeyRow.object_id))) == answers


async def test_another_node_at_work_is_a_conflict(database: Database, units: UnitsOfWork) -> None:
    """On PostgreSQL, while another node's transaction is open; SQLite has one writer, so there it has ended."""
    if database.is_sqlite:
        pytest.skip("one writer at a time")
    first, second = IdempotencyKeys(units), IdempotencyKeys(units)
    with first.running(actor(), "jobs.create", "k", {"a": 1}) as claim:
        async with units.begin() as unit:
            assert await first.claim(unit.session, claim, "job_1") is None
            with pytest.raises(DomainError) as raised:
                await make(second, units, "job_2")
            assert raised.value.code is Code.CONFLICT
            assert await make(second, units, "job_3", key="k2") == "job_3"


async def test_purging_forgets_what_is_over_and_nothing_else(
    idempotency: IdempotencyKeys,
    units: UnitsOfWork,
    database: Database,
    clock: TurnableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows older than 24 h go, batch by batch; younger ones stay."""
    monkeypatch.setattr("aitbc_server.idempotency.service._PURGE_BATCH", 3)
    for number in range(8):
        await make(idempotency, units, f"job_{number}", key=f"old{number}")
        clock.forward(timedelta(milliseconds=1))
    clock.forward(LIFETIME)
    await make(idempotency, units, "job_new", key="new")
    await idempotency.purge()
    async with database.read() as session:
        assert set(await session.scalars(select(IdempotencyKeyRow.key))) == {"new"}
