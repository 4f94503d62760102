"""Counts as a store has them: cumulative by minute and source, and drained by whoever comes along."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import select
from tests.usage.world import RETENTION, START_US, Clock, World

from aitbc.schemas.scopes import Scope
from aitbc.schemas.usage import Granularity, GroupBy
from aitbc_server.actor import Actor
from aitbc_server.clock import from_ms
from aitbc_server.clock import to_ms as ms_of
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.usage import repository
from aitbc_server.usage.levels import HOUR_MS, MINUTE_MS, Level, Retention
from aitbc_server.usage.model import UsageMarkRow
from aitbc_server.usage.service import UsageService
from aitbc_server.usage.span import Span
from aitbc_server.usage.tables import TABLES
from aitbc_server.usage.upkeep import UsageUpkeep

NOW_MS = START_US // 1000
NOW_MINUTE_MS = NOW_MS - NOW_MS % MINUTE_MS
STEPS = {Granularity.MINUTE: MINUTE_MS, Granularity.HOUR: HOUR_MS, Granularity.DAY: 24 * HOUR_MS}


class Kind(NamedTuple):
    """What a count is of."""

    minute_ms: int
    kid: str = "kid000000001"
    outcome: str = "allowed"
    operation: str = "jobs.get"
    source: str = "run_1"
    tenant_id: str = "acme"
    environment: str = "live"


Counts = Counter[Kind]


def random_counts(chance: random.Random, size: int, *, days: int = 3) -> Counts:
    """Counts of several keys and runs in the last days, the present minute among them."""
    return Counts(
        {
            Kind(
                NOW_MINUTE_MS - chance.choice([0, 1, chance.randrange(90), chance.randrange(days * 1440)]) * MINUTE_MS,
                kid=f"kid00000000{chance.randrange(3)}",
                outcome=chance.choice(["allowed", "allowed", "rate_limit_exceeded"]),
                operation=chance.choice(["jobs.get", "jobs.create"]),
                source=chance.choice(["run_1", "run_2"]),
            ): chance.randint(1, 9)
            for _ in range(size)
        }
    )


def rows_of(counts: Mapping[Kind, int]) -> list[dict[str, Any]]:
    """As whoever stores them has them."""
    rows = []
    for kind, count in counts.items():
        row = kind._asdict()
        rows.append({**row, "minute": from_ms(row.pop("minute_ms")), "count": count})
    return rows


async def drain(database: Database, counts: Mapping[Kind, int]) -> None:
    """Store them, as any node does."""
    async with database.write() as session:
        await repository.raise_counts(session, rows_of(counts))
        await session.commit()


async def stored(database: Database, level: Level) -> Counter[tuple[str, int]]:
    """What a table has, by tenant and start of the interval."""
    table, found = TABLES[level], Counter[tuple[str, int]]()
    async with database.read() as session:
        for tenant_id, start_ms, count in await session.execute(
            select(table.model.tenant_id, table.start_ms, table.model.count)
        ):
            found[tenant_id, start_ms] += count
    return found


async def marked(database: Database) -> set[tuple[str, int]]:
    """(width, start) of every mark."""
    async with database.read() as session:
        return {(row.width, ms_of(row.start)) for row in await session.scalars(select(UsageMarkRow))}


def upkeep(database: Database, now_ms: int = NOW_MS, retention: Retention = RETENTION) -> UsageUpkeep:
    """Who sums up and deletes, at some time."""
    return UsageUpkeep(database, Clock(now_ms * 1000), retention)


class Asker:
    """Somebody who may see the usage of acme."""

    def __init__(self, world: World, retention: Retention = RETENTION) -> None:
        units = UnitsOfWork(world.database, LocalFences(lambda _: None), world.clock)
        self._service = UsageService(units, UsageCounter(), retention)
        scopes = frozenset({Scope.USAGE_READ})
        self._actor = Actor(type="user", id="usr_1", name="Ada", tenant_id="acme", scopes=scopes, environment=None)

    async def answer(self, granularity: Granularity, from_ms: int, to_ms: int) -> Counter[tuple[int, str]]:
        """By start and outcome; the totals are the same."""
        span = Span(from_ms, to_ms, granularity)
        usage = await self._service.of_tenant(self._actor, span, GroupBy.OUTCOME)
        points = [(ms_of(at), str(each.outcome), n) for each in usage.series for at, n in each.points]
        assert usage.totals.total == sum(n for *_, n in points)
        by_key = await self._service.of_tenant(self._actor, span, GroupBy.KEY)
        assert by_key.totals == usage.totals
        return Counter({(at, outcome): n for at, outcome, n in points})


def expected(counts: Iterable[tuple[Kind, int]], granularity: Granularity, from_ms: int, to_ms: int) -> Counter[Any]:
    """What an answer must be."""
    found: Counter[tuple[int, str]] = Counter()
    for kind, count in counts:
        if kind.tenant_id == "acme" and from_ms <= kind.minute_ms < to_ms:
            found[kind.minute_ms - kind.minute_ms % STEPS[granularity], kind.outcome] += count
    return found
