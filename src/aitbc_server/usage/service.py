"""Answers about usage: what is stored and what is still in memory, exact up to the last decision."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc.schemas.scopes import Scope
from aitbc.schemas.usage import GroupBy, Usage, UsageSeries, UsageTotals
from aitbc_server.actor import Actor
from aitbc_server.clock import from_ms
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import insufficient_scope, invalid, not_found
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.store import ALLOWED
from aitbc_server.ids import key_id, kid_of
from aitbc_server.usage import repository
from aitbc_server.usage.levels import Retention, floor
from aitbc_server.usage.memory import Fresh, fresh_counts
from aitbc_server.usage.repository import Selection
from aitbc_server.usage.span import Span

# An answer beyond this helps nobody and would hold up everybody else while it is written.
MAX_POINTS = 50_000


class UsageService:
    """Sums up decisions for whoever may see them."""

    def __init__(self, units: UnitsOfWork, counter: UsageCounter, retention: Retention) -> None:
        self._units = units
        self._counter = counter
        self._retention = retention
        self.clock = units.clock

    async def of_tenant(self, actor: Actor, span: Span, group_by: GroupBy | None) -> Usage:
        """Usage of the actor's tenant; a key without ``usage:read`` sees its own alone."""
        kid = None
        if not actor.may(Scope.USAGE_READ):
            kid = actor.kid
            if kid is None:
                raise insufficient_scope(Scope.USAGE_READ)
        fresh, selection = fresh_counts(self._counter, _selection(actor, kid, span))
        async with self._units.read() as session:
            [usage] = await self._answers(session, fresh, selection, span, [group_by])
        return usage

    async def of_key(self, actor: Actor, of: str, span: Span, group_by: GroupBy | None) -> Usage:
        """Usage of one key in the actor's tenant: a key of the tenant, or of another that was granted this one."""
        [usage] = await self.of_key_by(actor, of, span, [group_by])
        return usage

    async def of_key_by(self, actor: Actor, of: str, span: Span, group_bys: Iterable[GroupBy | None]) -> list[Usage]:
        """As ``of_key``, told apart in each of these ways; of the same decisions."""
        kid = kid_of(of)
        if kid is None or not (kid.isascii() and kid.isalnum()):
            raise not_found()
        if kid != actor.kid and not actor.may(Scope.USAGE_READ):
            raise insufficient_scope(Scope.USAGE_READ)
        fresh, selection = fresh_counts(self._counter, _selection(actor, kid, span))
        async with self._units.read() as session:
            if kid != actor.kid and not await repository.key_is_seen(session, kid, actor.tenant_id, actor.environment):
                raise not_found()
            return await self._answers(session, fresh, selection, span, group_bys)

    async def _answers(
        self,
        session: AsyncSession,
        fresh: list[Fresh],
        selection: Selection,
        span: Span,
        group_bys: Iterable[GroupBy | None],
    ) -> list[Usage]:
        answering = await repository.answering(session, selection, span.step_ms, self._retention, self.clock() // 1000)
        stored: dict[GroupBy | None, list[tuple[int, str, int]]] = {}
        for group_by in group_bys:
            points = await repository.points(
                session, selection, answering, step_ms=span.step_ms, group_by=group_by, limit=MAX_POINTS + 1
            )
            # There may be more, and what is cut off must not look like an answer.
            _check_length(len(points))
            stored[group_by] = points
        # Summing up is most of what an answer costs: what is told apart by outcome has everybody's totals in it.
        if GroupBy.OUTCOME in stored:
            outcomes = _by_outcome(stored[GroupBy.OUTCOME])
        else:
            outcomes = await repository.outcomes(session, selection, answering)
        for each in fresh:
            outcomes[each.outcome] += each.decisions
        totals = _totals(outcomes)
        return [
            _usage(span, group_by, [*points, *_grouped(fresh, span.step_ms, group_by)], totals)
            for group_by, points in stored.items()
        ]


def _usage(span: Span, group_by: GroupBy | None, points: list[tuple[int, str, int]], totals: UsageTotals) -> Usage:
    """The answer. Raises ``validation_error`` where it is too long."""
    series: dict[str, Counter[int]] = defaultdict(Counter)
    for start_ms, group, count in points:
        series[group][start_ms] += count
    _check_length(sum(len(each) for each in series.values()))
    return Usage(
        from_=from_ms(span.from_ms),
        to=from_ms(span.to_ms),
        granularity=span.granularity,
        series=_series(series, group_by),
        totals=totals,
    )


def _check_length(points: int) -> None:
    if points > MAX_POINTS:
        raise invalid(
            "group_by",
            f"the answer has more than {MAX_POINTS} points. Ask for a shorter range, for wider intervals or for "
            "one key",
        )


def _selection(actor: Actor, kid: str | None, span: Span) -> Selection:
    kids = None if kid is None else frozenset({kid})
    return Selection(actor.tenant_id, actor.environment, kids, span.from_ms, span.to_ms)


def _grouped(fresh: Iterable[Fresh], step_ms: int, group_by: GroupBy | None) -> Iterable[tuple[int, str, int]]:
    for each in fresh:
        name = {None: "", GroupBy.KEY: each.kid, GroupBy.OUTCOME: each.outcome, GroupBy.OPERATION: each.operation}
        yield floor(each.minute_ms, step_ms), name[group_by], each.decisions


def _by_outcome(stored: Iterable[tuple[int, str, int]]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for _, outcome, count in stored:
        totals[outcome] += count
    return totals


def _series(series: dict[str, Counter[int]], group_by: GroupBy | None) -> list[UsageSeries]:
    """The largest first, then by name; one without a name where nothing is told apart, be it empty."""
    if group_by is None and not series:
        series = {"": Counter()}
    ordered = sorted(series.items(), key=lambda item: (-item[1].total(), item[0]))
    return [_one_series(name, points, group_by) for name, points in ordered]


def _one_series(name: str, points: Counter[int], group_by: GroupBy | None) -> UsageSeries:
    one = UsageSeries(points=[(from_ms(start), count) for start, count in sorted(points.items())])
    if group_by is GroupBy.KEY:
        one.key_id = key_id(name)
    elif group_by is GroupBy.OUTCOME:
        one.outcome = name
    elif group_by is GroupBy.OPERATION:
        one.operation = name
    return one


def _totals(outcomes: Counter[str]) -> UsageTotals:
    total, allowed = outcomes.total(), outcomes[ALLOWED]
    by_size = sorted(outcomes.items(), key=lambda item: (-item[1], item[0]))
    return UsageTotals(
        total=total,
        allowed=allowed,
        refused=total - allowed,
        outcomes={name: count for name, count in by_size if count},
    )
