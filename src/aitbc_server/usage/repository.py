"""Storing counts, and summing them up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc.schemas.scopes import Environment
from aitbc.schemas.usage import GroupBy
from aitbc_server.api_keys.model import ApiKeyGrantRow, ApiKeyRow
from aitbc_server.clock import from_ms, to_ms
from aitbc_server.db.upsert import insert_into
from aitbc_server.gate.store import ALLOWED
from aitbc_server.tenants.model import PlanRow, TenantRow
from aitbc_server.usage.levels import DAY_MS, HOUR_MS, MINUTE_MS, Level, Part, Retention, Unsummed, floor, parts
from aitbc_server.usage.model import UsageMarkRow, UsageMinuteRow
from aitbc_server.usage.summing import Interval, mark
from aitbc_server.usage.tables import TABLES

_COLUMNS = {GroupBy.KEY: "kid", GroupBy.OUTCOME: "outcome", GroupBy.OPERATION: "operation"}
# So many parts are asked for in one statement; there are hardly ever more.
_PARTS_A_STATEMENT = 40
# Written into the statement: only so do databases see that the index of refusals has what is asked for.
_IS_REFUSED = UsageMinuteRow.outcome != literal_column(f"'{ALLOWED}'")


class Selection(NamedTuple):
    """Which counts: of a tenant, of one environment or both (None), of some keys or all (None), in [from_ms, to_ms).

    ``held`` names the (source, minute in ms) whose counts are in memory: what the database has of them is left out.
    """

    tenant_id: str
    environment: str | None
    kids: frozenset[str] | None
    from_ms: int
    to_ms: int
    held: frozenset[tuple[str, int]] = frozenset()


async def raise_counts(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Insert counts; where one is there already, the larger number wins. The sums of their hours must be made anew.

    Once in a transaction: what it locks, it locks in an order that keeps nodes from blocking each other for ever.
    """
    hours = ((row["tenant_id"], floor(to_ms(row["minute"]), HOUR_MS)) for row in rows)
    await mark(session, Level.HOUR, (Interval(*each) for each in hours))
    insert = insert_into(session, UsageMinuteRow)
    larger = case(
        (insert.excluded["count"] > UsageMinuteRow.count, insert.excluded["count"]), else_=UsageMinuteRow.count
    )
    key = list(UsageMinuteRow.__table__.primary_key)
    statement = insert.on_conflict_do_update(index_elements=key, set_={"count": larger})
    await session.execute(statement, list(rows))


async def answering(
    session: AsyncSession, selection: Selection, step_ms: int, retention: Retention, now_ms: int
) -> list[Part]:
    """Which tables have the selected counts, in steps of ``step_ms``."""
    unsummed = Unsummed((), ())
    if step_ms > MINUTE_MS:
        statement = select(UsageMarkRow.width, UsageMarkRow.start).where(
            UsageMarkRow.tenant_id == selection.tenant_id,
            UsageMarkRow.width.in_([Level.HOUR.value, Level.DAY.value]),
            UsageMarkRow.start >= from_ms(floor(selection.from_ms, DAY_MS)),
            UsageMarkRow.start < from_ms(selection.to_ms),
        )
        marks = [(width, to_ms(start)) for width, start in await session.execute(statement)]
        # Of counts in memory, the database has some or all or none: which, only the minutes tell.
        hours = {ms for width, ms in marks if width == Level.HOUR}
        hours |= {floor(ms, HOUR_MS) for _, ms in selection.held}
        days = {ms for width, ms in marks if width == Level.DAY}
        # What is older than all minutes can only be found in a sum, and is there soon.
        minutes_from_ms, hours_from_ms = (retention.kept_from_ms(each, now_ms) for each in (Level.MINUTE, Level.HOUR))
        unsummed = Unsummed({ms for ms in hours if ms >= minutes_from_ms}, {ms for ms in days if ms >= hours_from_ms})
    return parts(selection.from_ms, selection.to_ms, step_ms, unsummed)


async def points(
    session: AsyncSession,
    selection: Selection,
    answering: Sequence[Part],
    *,
    step_ms: int,
    group_by: GroupBy | None,
    limit: int,
) -> list[tuple[int, str, int]]:
    """(start of the interval in ms, name of the group, count), at most ``limit`` of them in each forty parts.

    An interval that several parts make up is there several times.
    """

    def of(part: Part) -> Select[Any]:
        table = TABLES[part.level]
        start = (table.start_ms - table.start_ms % step_ms).label("start")
        group = (literal("") if group_by is None else table.model.__table__.c[_COLUMNS[group_by]]).label("group_name")
        return _sums(selection, part, start, group)

    return [(each[0], each[1], int(each[2])) for each in await _all(session, answering, of, limit)]


async def outcomes(session: AsyncSession, selection: Selection, answering: Sequence[Part]) -> Counter[str]:
    """The sums by outcome."""
    found: Counter[str] = Counter()
    rows = await _all(session, answering, lambda part: _sums(selection, part, TABLES[part.level].model.outcome))
    for outcome, count in rows:
        found[outcome] += int(count)
    return found


async def hours(
    session: AsyncSession, selection: Selection, answering: Sequence[Part]
) -> list[tuple[str, int, bool, int]]:
    """(kid, start of the hour in ms, whether allowed, count) of every selected key, in one query."""

    def of(part: Part) -> Select[Any]:
        table = TABLES[part.level]
        start = (table.start_ms - table.start_ms % HOUR_MS).label("start")
        allowed = (table.model.outcome == ALLOWED).label("is_allowed")
        return _sums(selection, part, table.model.kid, start, allowed)

    return [(each[0], each[1], bool(each[2]), int(each[3])) for each in await _all(session, answering, of)]


async def refusals(session: AsyncSession, selection: Selection, limit: int) -> list[tuple[int, str, str, str, int]]:
    """(minute in ms, kid, outcome, operation, count) of what was refused, the newest and the most first."""
    minutes = TABLES[Level.MINUTE]
    minute, row = minutes.start_ms.label("minute_ms"), UsageMinuteRow
    part = Part(Level.MINUTE, selection.from_ms, selection.to_ms)
    statement = (
        select(minute, row.kid, row.outcome, row.operation, func.sum(row.count))
        .where(_condition(selection, part), _IS_REFUSED)
        .group_by(minute, row.kid, row.outcome, row.operation)
        .order_by(minute.desc(), func.sum(row.count).desc(), row.kid, row.outcome, row.operation)
        .limit(limit)
    )
    return [(*each[:4], int(each[4])) for each in await session.execute(statement)]


async def made_keys(session: AsyncSession, tenant_id: str) -> frozenset[str]:
    """The tenant's keys that somebody made: those of a development server are not among them."""
    return frozenset(await session.scalars(_made(tenant_id)))


async def keys_in_use(session: AsyncSession, tenant_id: str) -> list[str]:
    """The environment of each of the tenant's keys that is not revoked, whoever made it."""
    statement = select(ApiKeyRow.environment).where(ApiKeyRow.tenant_id == tenant_id, ApiKeyRow.revoked_at.is_(None))
    return list(await session.scalars(statement))


async def was_ever_allowed(session: AsyncSession, tenant_id: str) -> bool:
    """Whether a key that somebody made has had a successful call that is stored."""
    # Days are the fewest rows and are kept the longest.
    for level in (Level.DAY, Level.HOUR, Level.MINUTE):
        row = TABLES[level].model
        found = exists().where(row.tenant_id == tenant_id, row.outcome == ALLOWED, row.kid.in_(_made(tenant_id)))
        if await session.scalar(select(found)):
            return True
    return False


async def key(session: AsyncSession, kid: str) -> ApiKeyRow | None:
    """One key."""
    return await session.get(ApiKeyRow, kid)


async def key_names(session: AsyncSession, tenant_id: str, kids: Sequence[str]) -> list[tuple[str, str]]:
    """(kid, name) of those of these keys that are the tenant's own."""
    statement = select(ApiKeyRow.kid, ApiKeyRow.name).where(ApiKeyRow.tenant_id == tenant_id, ApiKeyRow.kid.in_(kids))
    return [(kid, name) for kid, name in await session.execute(statement)]


async def plan_of(session: AsyncSession, tenant_id: str) -> PlanRow | None:
    """The plan that a tenant is on."""
    statement = select(PlanRow).join(TenantRow, TenantRow.plan_id == PlanRow.id).where(TenantRow.id == tenant_id)
    return await session.scalar(statement)


async def key_is_seen(session: AsyncSession, kid: str, tenant_id: str, environment: str | None) -> bool:
    """Whether the tenant may know of this key: it is the tenant's own or granted to it, and of the environment."""
    granted = select(ApiKeyGrantRow.kid).where(ApiKeyGrantRow.kid == kid, ApiKeyGrantRow.tenant_id == tenant_id)
    statement = select(ApiKeyRow.environment).where(
        ApiKeyRow.kid == kid, or_(ApiKeyRow.tenant_id == tenant_id, granted.exists())
    )
    found = await session.scalar(statement)
    return found is not None and environment in {None, found}


def _made(tenant_id: str) -> Select[Any]:
    return select(ApiKeyRow.kid).where(ApiKeyRow.tenant_id == tenant_id, ApiKeyRow.made_by_dev.is_(False))


def _sums(selection: Selection, part: Part, *groups: Any) -> Select[Any]:
    """The sums of a part of the selected counts, by these columns."""
    count = TABLES[part.level].model.count
    return select(*groups, func.sum(count)).where(_condition(selection, part)).group_by(*groups)


async def _all(
    session: AsyncSession, answering: Sequence[Part], of: Callable[[Part], Select[Any]], limit: int | None = None
) -> list[Any]:
    """The rows that all parts answer."""
    found: list[Any] = []
    for first in range(0, len(answering), _PARTS_A_STATEMENT):
        statement = union_all(*map(of, answering[first : first + _PARTS_A_STATEMENT])).limit(limit)
        found += await session.execute(statement)
    return found


def _condition(selection: Selection, part: Part) -> ColumnElement[bool]:
    table = TABLES[part.level]
    row = table.model
    # Both are named where both are meant: the primary key goes on with the time only behind an environment.
    environments = list(Environment) if selection.environment is None else [selection.environment]
    conditions = [
        row.tenant_id == selection.tenant_id,
        row.environment.in_(environments),
        table.start >= from_ms(part.from_ms),
        table.start < from_ms(part.to_ms),
    ]
    if selection.kids is not None:
        conditions.append(row.kid.in_(sorted(selection.kids)))
    if part.level is Level.MINUTE:
        held = [each for each in selection.held if part.from_ms <= each[1] < part.to_ms]
        conditions += [not_(and_(row.source == source, minutes)) for source, minutes in _held(held)]
    return and_(*conditions)


def _held(held: Iterable[tuple[str, int]]) -> Iterable[tuple[str, ColumnElement[bool]]]:
    minute_ms = TABLES[Level.MINUTE].start_ms
    minutes: dict[str, list[int]] = {}
    for source, each in held:
        minutes.setdefault(source, []).append(each)
    return [(source, minute_ms.in_(sorted(each))) for source, each in sorted(minutes.items())]
