"""Storing counts, and summing them up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, and_, case, func, literal, not_, or_, select, type_coerce
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc.schemas.usage import GroupBy
from aitbc_server.api_keys.model import ApiKeyGrantRow, ApiKeyRow
from aitbc_server.clock import from_ms
from aitbc_server.usage.model import UsageMinuteRow

_COLUMNS = {
    GroupBy.KEY: UsageMinuteRow.kid,
    GroupBy.OUTCOME: UsageMinuteRow.outcome,
    GroupBy.OPERATION: UsageMinuteRow.operation,
}
_MINUTE_MS = type_coerce(UsageMinuteRow.minute, BigInteger)


class Selection(NamedTuple):
    """Which counts: of a tenant, of one environment or both (None), of one key or all (None), in [from_ms, to_ms).

    ``held`` names the (source, minute in ms) whose counts are in memory: what the database has of them is left out.
    """

    tenant_id: str
    environment: str | None
    kid: str | None
    from_ms: int
    to_ms: int
    held: frozenset[tuple[str, int]] = frozenset()


async def raise_counts(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Insert counts; where one is there already, the larger number wins."""
    insert = (sqlite if session.get_bind().dialect.name == "sqlite" else postgresql).insert(UsageMinuteRow)
    larger = case(
        (insert.excluded["count"] > UsageMinuteRow.count, insert.excluded["count"]), else_=UsageMinuteRow.count
    )
    key = list(UsageMinuteRow.__table__.primary_key)
    statement = insert.on_conflict_do_update(index_elements=key, set_={"count": larger})
    await session.execute(statement, list(rows))


async def points(
    session: AsyncSession, selection: Selection, *, step_ms: int, group_by: GroupBy | None, limit: int
) -> list[tuple[int, str, int]]:
    """(start of the interval in ms, name of the group, count), at most ``limit`` of them."""
    start = (_MINUTE_MS - _MINUTE_MS % step_ms).label("start")
    group = (literal("") if group_by is None else _COLUMNS[group_by]).label("group_name")
    statement = (
        select(start, group, func.sum(UsageMinuteRow.count))
        .where(_condition(selection))
        .group_by(start, group)
        .limit(limit)
    )
    return [(each[0], each[1], int(each[2])) for each in await session.execute(statement)]


async def outcomes(session: AsyncSession, selection: Selection) -> dict[str, int]:
    """The sums by outcome."""
    statement = (
        select(UsageMinuteRow.outcome, func.sum(UsageMinuteRow.count))
        .where(_condition(selection))
        .group_by(UsageMinuteRow.outcome)
    )
    return {outcome: int(count) for outcome, count in await session.execute(statement)}


async def key_is_seen(session: AsyncSession, kid: str, tenant_id: str, environment: str | None) -> bool:
    """Whether the tenant may know of this key: it is the tenant's own or granted to it, and of the environment."""
    granted = select(ApiKeyGrantRow.kid).where(ApiKeyGrantRow.kid == kid, ApiKeyGrantRow.tenant_id == tenant_id)
    statement = select(ApiKeyRow.environment).where(
        ApiKeyRow.kid == kid, or_(ApiKeyRow.tenant_id == tenant_id, granted.exists())
    )
    found = await session.scalar(statement)
    return found is not None and environment in {None, found}


def _condition(selection: Selection) -> ColumnElement[bool]:
    conditions = [
        UsageMinuteRow.tenant_id == selection.tenant_id,
        UsageMinuteRow.minute >= from_ms(selection.from_ms),
        UsageMinuteRow.minute < from_ms(selection.to_ms),
    ]
    if selection.environment is not None:
        conditions.append(UsageMinuteRow.environment == selection.environment)
    if selection.kid is not None:
        conditions.append(UsageMinuteRow.kid == selection.kid)
    conditions += [not_(and_(UsageMinuteRow.source == source, minutes)) for source, minutes in _held(selection.held)]
    return and_(*conditions)


def _held(held: Iterable[tuple[str, int]]) -> Iterable[tuple[str, ColumnElement[bool]]]:
    minutes: dict[str, list[int]] = {}
    for source, minute_ms in held:
        minutes.setdefault(source, []).append(minute_ms)
    return [(source, _MINUTE_MS.in_(sorted(each))) for source, each in sorted(minutes.items())]
