"""Answers about usage: what is stored and what is still in memory, exact up to the last decision."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

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
from aitbc_server.usage.repository import Selection
from aitbc_server.usage.span import Span

# An answer beyond this helps nobody and would hold up everybody else while it is written.
MAX_POINTS = 50_000


class _InMemory(NamedTuple):
    start_ms: int
    kid: str
    operation: str
    outcome: str
    decisions: int


class UsageService:
    """Sums up decisions for whoever may see them."""

    def __init__(self, units: UnitsOfWork, counter: UsageCounter) -> None:
        self._units = units
        self._counter = counter
        self.clock = units.clock

    async def of_tenant(self, actor: Actor, span: Span, group_by: GroupBy | None) -> Usage:
        """Usage of the actor's tenant; a key without ``usage:read`` sees its own alone."""
        kid = None
        if not actor.may(Scope.USAGE_READ):
            kid = actor.kid
            if kid is None:
                raise insufficient_scope(Scope.USAGE_READ)
        return await self._answer(actor, kid, span, group_by)

    async def of_key(self, actor: Actor, of: str, span: Span, group_by: GroupBy | None) -> Usage:
        """Usage of one key in the actor's tenant: a key of the tenant, or of another that was granted this one."""
        kid = kid_of(of)
        if kid is None or not (kid.isascii() and kid.isalnum()):
            raise not_found()
        if kid != actor.kid:
            if not actor.may(Scope.USAGE_READ):
                raise insufficient_scope(Scope.USAGE_READ)
            async with self._units.read() as session:
                if not await repository.key_is_seen(session, kid, actor.tenant_id, actor.environment):
                    raise not_found()
        return await self._answer(actor, kid, span, group_by)

    async def _answer(self, actor: Actor, kid: str | None, span: Span, group_by: GroupBy | None) -> Usage:
        # What is in memory is read first: what leaves it from here on is left out of the database's sums all the
        # same, and what had left it before is committed there.
        selection = Selection(actor.tenant_id, actor.environment, kid, span.from_ms, span.to_ms)
        fresh, selection = self._in_memory(selection, span.step_ms)
        async with self._units.read() as session:
            stored = await repository.points(
                session, selection, step_ms=span.step_ms, group_by=group_by, limit=MAX_POINTS + 1
            )
            outcomes = Counter(await repository.outcomes(session, selection))
        series: dict[str, Counter[int]] = defaultdict(Counter)
        for start_ms, group, count in [*stored, *_grouped(fresh, group_by)]:
            series[group][start_ms] += count
        for each in fresh:
            outcomes[each.outcome] += each.decisions
        if sum(len(points) for points in series.values()) > MAX_POINTS:
            raise invalid(
                "group_by",
                f"the answer has more than {MAX_POINTS} points. Ask for a shorter range, for wider intervals or for "
                "one key",
            )
        return Usage(
            from_=from_ms(span.from_ms),
            to=from_ms(span.to_ms),
            granularity=span.granularity,
            series=_series(series, group_by),
            totals=_totals(outcomes),
        )

    def _in_memory(self, selection: Selection, step_ms: int) -> tuple[list[_InMemory], Selection]:
        """The selected counts that are in memory, and the selection without them for the database."""
        found = []
        held = set()
        for ledger in self._counter.ledgers():
            minute_ms = ledger.minute_us // 1000
            if not selection.from_ms <= minute_ms < selection.to_ms:
                continue
            held.add((ledger.source, minute_ms))
            for _, ((_, environment, kid), operation, outcome), count in ledger.of_tenant(selection.tenant_id):
                if selection.environment in {None, environment} and selection.kid in {None, kid}:
                    found.append(_InMemory(minute_ms - minute_ms % step_ms, kid, operation, outcome, count))
        return found, selection._replace(held=frozenset(held))


def _grouped(fresh: Iterable[_InMemory], group_by: GroupBy | None) -> Iterable[tuple[int, str, int]]:
    for each in fresh:
        name = {None: "", GroupBy.KEY: each.kid, GroupBy.OUTCOME: each.outcome, GroupBy.OPERATION: each.operation}
        yield each.start_ms, name[group_by], each.decisions


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
