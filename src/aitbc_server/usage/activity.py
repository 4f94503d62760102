"""What pages show of keys' activity: a day in a sparkline, what was refused lately, whether a first call was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc.schemas.scopes import Environment, Scope
from aitbc_server.actor import Actor
from aitbc_server.clock import Timestamp, from_ms
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import insufficient_scope, not_found
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.store import ALLOWED
from aitbc_server.ids import key_id, kid_of
from aitbc_server.usage import repository
from aitbc_server.usage.levels import DAY_MS, HOUR_MS, Retention, floor
from aitbc_server.usage.memory import fresh_counts
from aitbc_server.usage.repository import Selection

HOURS = 24
# So far back a refusal counts as recent: the last of these.
_LOOKED_BACK_MS = (HOUR_MS, DAY_MS, 7 * DAY_MS)
RECENT_LIMIT = 20


class Day(NamedTuple):
    """24 numbers each, by the hour, the present hour last."""

    allowed: list[int]
    refused: list[int]


class Refusals(NamedTuple):
    """How often in one minute an operation was refused to one key for one reason."""

    minute: Timestamp
    key_id: str
    outcome: str
    operation: str
    times: int


class Start(NamedTuple):
    """How far a tenant has got: how many keys it has made, and whether a call with one of them succeeded.

    Once one did, of the keys that are not revoked, whoever made them: how many, and whether there is a live one.
    """

    keys: int
    has_called: bool
    keys_now: int = 0
    has_live: bool = False


class UsageActivity:
    """Answers for pages, exact up to the last decision. Raises ``insufficient_scope`` for who may not see usage."""

    def __init__(self, units: UnitsOfWork, counter: UsageCounter, retention: Retention) -> None:
        self._units = units
        self._counter = counter
        self._retention = retention

    async def days(self, actor: Actor, key_ids: Collection[str]) -> Mapping[str, Day]:
        """The last 24 hours of each of these keys in the actor's tenant, by key id, in one query.

        A key that is none of the tenant's has had nothing to do with it, and so has a day without requests.
        """
        _check_may_see(actor)
        kids = {kid: each for each in key_ids if (kid := kid_of(each)) is not None}
        first_ms = floor(self._now_ms(), HOUR_MS) - (HOURS - 1) * HOUR_MS
        days = {each: Day([0] * HOURS, [0] * HOURS) for each in kids.values()}
        fresh, selection = fresh_counts(
            self._counter,
            Selection(actor.tenant_id, actor.environment, frozenset(kids), first_ms, first_ms + HOURS * HOUR_MS),
        )
        async with self._units.read() as session:
            answering = await repository.answering(session, selection, HOUR_MS, self._retention, self._now_ms())
            stored = await repository.hours(session, selection, answering)
        counts = [(each.kid, each.minute_ms, each.outcome == ALLOWED, each.decisions) for each in fresh]
        for kid, ms, allowed, count in [*stored, *counts]:
            day = days[kids[kid]]
            (day.allowed if allowed else day.refused)[(ms - first_ms) // HOUR_MS] += count
        return days

    async def recent_refusals(self, actor: Actor, of: str | None, limit: int = RECENT_LIMIT) -> list[Refusals]:
        """What was refused within a week, of one key or of all; ``not_found`` for a foreign key.

        The newest first, and of one minute what was refused most often.
        """
        _check_may_see(actor)
        found: list[Refusals] = []
        async with self._units.read() as session:
            kids = None if of is None else frozenset({await _visible(session, actor, of)})
            # A week of a busy tenant is much to look through, and its last hour mostly enough.
            for back_ms in _LOOKED_BACK_MS:
                found = await self._refusals(session, actor, kids, back_ms, limit)
                if len(found) == limit:
                    break
        return found

    async def _refusals(
        self, session: AsyncSession, actor: Actor, kids: frozenset[str] | None, back_ms: int, limit: int
    ) -> list[Refusals]:
        now_ms = self._now_ms()
        # The present minute is in it.
        fresh, selection = fresh_counts(
            self._counter,
            Selection(actor.tenant_id, actor.environment, kids, now_ms - back_ms, now_ms + 1),
        )
        stored = await repository.refusals(session, selection, limit)
        counts: Counter[tuple[int, str, str, str]] = Counter()
        for minute_ms, kid, outcome, operation, count in stored:
            counts[minute_ms, kid, outcome, operation] += count
        for each in fresh:
            if each.outcome != ALLOWED:
                counts[each.minute_ms, each.kid, each.outcome, each.operation] += each.decisions
        newest = sorted(counts.items(), key=lambda item: (-item[0][0], -item[1], item[0][1:]))[:limit]
        return [
            Refusals(from_ms(ms), key_id(kid), outcome, operation, count)
            for (ms, kid, outcome, operation), count in newest
        ]

    async def start(self, actor: Actor) -> Start:
        """How far the actor's tenant has got. Keys of a development server do not count, nor do their calls."""
        _check_may_see(actor)
        selection = Selection(actor.tenant_id, None, None, 0, self._now_ms() + 1)
        async with self._units.read() as session:
            made = await repository.made_keys(session, actor.tenant_id)
            # Seen in memory within the second, found in the database for ever.
            fresh, _ = fresh_counts(self._counter, selection._replace(kids=made))
            called = any(each.outcome == ALLOWED for each in fresh)
            called = called or (bool(made) and await repository.was_ever_allowed(session, actor.tenant_id))
            in_use = await repository.keys_in_use(session, actor.tenant_id) if called else []
        return Start(len(made), called, len(in_use), Environment.LIVE in in_use)

    async def key_names(self, actor: Actor, key_ids: Collection[str]) -> Mapping[str, str]:
        """The names of those of these keys that are the actor's tenant's own, by key id."""
        kids = [kid for each in key_ids if (kid := kid_of(each)) is not None]
        if not kids:
            return {}
        async with self._units.read() as session:
            return {key_id(kid): name for kid, name in await repository.key_names(session, actor.tenant_id, kids)}

    def pulse(self, actor: Actor) -> int:
        """A number that is another one as soon as this process has decided on one more request of the tenant."""
        ledgers = self._counter.ledgers()
        return sum(count.decisions for ledger in ledgers for count in ledger.of_tenant(actor.tenant_id))

    def _now_ms(self) -> int:
        return self._units.clock() // 1000


async def _visible(session: AsyncSession, actor: Actor, of: str) -> str:
    kid = kid_of(of)
    if kid is None or not await repository.key_is_seen(session, kid, actor.tenant_id, actor.environment):
        raise not_found()
    return kid


def _check_may_see(actor: Actor) -> None:
    if not actor.may(Scope.USAGE_READ):
        raise insufficient_scope(Scope.USAGE_READ)
