"""The parts of pages that show usage. The same parts are rendered into the page and sent again when they change."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

import msgspec
from markupsafe import Markup

from aitbc.schemas.audit import AuditEvent
from aitbc.schemas.scopes import Scope
from aitbc.schemas.usage import GroupBy, Usage
from aitbc_server.actor import Actor
from aitbc_server.audit.repository import Filters
from aitbc_server.audit.service import AuditReader
from aitbc_server.audit.words import deed, doer
from aitbc_server.clock import Clock
from aitbc_server.dashboard.charts import gauge, sparkline
from aitbc_server.gate.store import StoreUnavailableError
from aitbc_server.usage import pictures
from aitbc_server.usage.activity import Refusals, UsageActivity
from aitbc_server.usage.choices import By, Choice, Window
from aitbc_server.usage.limits import LimitState, LimitStates
from aitbc_server.usage.service import UsageService
from aitbc_server.usage.words import operation_words, outcome_words

Pieces = dict[str, Markup]

_EVENTS = 6
_REFUSALS = 5
# So many minutes are put together to these: enough for what goes on for an hour.
_REFUSALS_READ = 100
_HOUR = Choice(Window.HOUR)


class Render(Protocol):
    """Whoever renders a part of a page."""

    def __call__(self, template: str, **context: Any) -> Markup:
        """The template's markup."""
        ...


class UsagePanels:
    """Puts the parts together from what the services answer."""

    def __init__(
        self,
        *,
        usage: UsageService,
        activity: UsageActivity,
        limits: LimitStates,
        audit: AuditReader,
        render: Render,
        clock: Clock,
        site_url: str,
    ) -> None:
        self._usage = usage
        self._activity = activity
        self._limits = limits
        self._audit = audit
        self._render = render
        self._clock = clock
        self._site_url = site_url

    async def overview(self, actor: Actor, choice: Choice, *, starting: bool = False) -> Pieces:
        """The parts of the overview. ``starting``: the reader saw the first steps, so their end is shown too."""
        chosen = msgspec.structs.replace(actor, environment=choice.environment)
        usage, chart = await self._requests(chosen, choice)
        states = await self._states(actor, None)
        return {
            "start": await self._start(actor, starting=starting),
            "numbers": self._numbers(usage, choice),
            "requests": chart,
            "limits": self._gauges(states),
            "limit-use": await self._limit_use(actor, states),
            "refusals": await self._refusals(chosen, None),
            "events": await self._events(chosen),
        }

    async def overview_limits(self, actor: Actor) -> Pieces:
        """What of it changes with time alone."""
        return {"limits": self._gauges(await self._states(actor, None))}

    async def key(self, actor: Actor, key_id: str, choice: Choice) -> Pieces:
        """The parts of a key's page. Raises ``not_found`` for a key that the actor may not see."""
        now_ms = self._now_ms()
        axis, span = choice.axis(now_ms), choice.span(now_ms)
        usage, operations = await self._usage.of_key_by(actor, key_id, span, [GroupBy.OUTCOME, GroupBy.OPERATION])
        return {
            "numbers": self._numbers(usage, choice),
            "requests": pictures.requests_by_outcome("requests", f"Requests in {choice.words}", axis, usage),
            "operations": pictures.by_operation("operations", f"Requests by operation in {choice.words}", operations),
            **await self.key_limits(actor, key_id),
            "refusals": await self._refusals(actor, key_id),
        }

    async def key_limits(self, actor: Actor, key_id: str) -> Pieces:
        """What of a key's page changes with time alone."""
        return {"limits": self._gauges(await self._states(actor, key_id))}

    async def sparklines(self, actor: Actor, key_ids: Collection[str]) -> Mapping[str, Markup]:
        """The last 24 hours of each of these keys, by key id; one query for all of them."""
        return {key_id: sparkline(*day) for key_id, day in (await self._activity.days(actor, key_ids)).items()}

    def pulse(self, actor: Actor) -> int:
        """See ``UsageActivity.pulse``."""
        return self._activity.pulse(actor)

    async def _requests(self, actor: Actor, choice: Choice) -> tuple[Usage, Markup]:
        now_ms = self._now_ms()
        axis, title = choice.axis(now_ms), f"Requests in {choice.words}"
        group_by = GroupBy.KEY if choice.by is By.KEY else GroupBy.OUTCOME
        usage = await self._usage.of_tenant(actor, choice.span(now_ms), group_by)
        if group_by is GroupBy.OUTCOME:
            return usage, pictures.requests_by_outcome("requests", title, axis, usage)
        ids = [each.key_id for each in usage.series if isinstance(each.key_id, str)]
        names = await self._activity.key_names(actor, ids)
        return usage, pictures.requests_by_key("requests", title, axis, usage, names)

    async def _limit_use(self, actor: Actor, states: list[LimitState] | None) -> Markup:
        now_ms = self._now_ms()
        usage = await self._usage.of_tenant(actor, _HOUR.span(now_ms), GroupBy.OUTCOME)
        limit = states[0].limit if states else None
        title = "Requests let in per minute, in the last hour"
        return pictures.limit_use("limit-use", title, _HOUR.axis(now_ms), usage, limit)

    async def _start(self, actor: Actor, *, starting: bool) -> Markup:
        start = await self._activity.start(actor)
        # Who has a second key has found their way.
        if start.has_called and start.keys > 1 and not starting:
            return Markup("")
        return self._render(
            "usage/_start.html",
            start=start,
            site_url=self._site_url,
            may_generate=actor.may(Scope.API_KEYS_WRITE),
        )

    async def _states(self, actor: Actor, key_id: str | None) -> list[LimitState] | None:
        """Where the limits stand; None where the store does not answer: the page is shown without them."""
        try:
            if key_id is None:
                return await self._limits.of_tenant(actor)
            return await self._limits.of_key(actor, key_id)
        except StoreUnavailableError:
            return None

    def _gauges(self, states: list[LimitState] | None) -> Markup:
        gauges = [
            gauge(
                f"limit-{index}",
                "The key's own limit" if state.own else f"Plan {state.name}",
                limit=state.limit,
                remaining=state.remaining,
                reset_s=state.reset_s,
            )
            for index, state in enumerate(states or ())
        ]
        return self._render("usage/_limits.html", gauges=gauges)

    def _numbers(self, usage: Usage, choice: Choice) -> Markup:
        return self._render("usage/_numbers.html", totals=usage.totals, words=choice.words)

    async def _refusals(self, actor: Actor, key_id: str | None) -> Markup:
        found = await self._activity.recent_refusals(actor, key_id, _REFUSALS_READ)
        alike = _explained_once(_alike(found)[:_REFUSALS])
        # On a key's own page there is one key.
        names = await self._activity.key_names(actor, {each["key_id"] for each in alike}) if key_id is None else None
        return self._render("usage/_refusals.html", refusals=alike, key_names=names)

    async def _events(self, actor: Actor) -> Markup:
        events: list[AuditEvent] = []
        if actor.may(Scope.AUDIT_READ):
            events = (await self._audit.list(actor, Filters(), limit=_EVENTS)).items
        key_ids = [event.target.id for event in events if event.target.type == "api_key"]
        names = await self._activity.key_names(actor, key_ids)
        told = [{"who": doer(event), "deed": deed(event, names), "time": event.time} for event in events]
        return self._render("usage/_events.html", events=told)

    def _now_ms(self) -> int:
        return self._clock() // 1000


def _alike(found: Iterable[Refusals]) -> list[dict[str, Any]]:
    """Refusals of one operation to one key for one reason as one, with how many there were since when.

    The newest first; of those that were last seen in the same minute, which is all that is known, the most first.
    """
    alike: dict[tuple[str, str, str], dict[str, Any]] = {}
    for each in found:
        first = {
            "last": each.minute,
            "times": 0,
            "key_id": each.key_id,
            "operation": operation_words(each.operation),
            "outcome": outcome_words(each.outcome),
        }
        one = alike.setdefault((each.key_id, each.outcome, each.operation), first)
        one["times"] += each.times
        one["since"] = each.minute
    return sorted(alike.values(), key=lambda one: (one["last"], one["times"]), reverse=True)


def _explained_once(refusals: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same, where each outcome is explained at its first line: beneath it, the words would only be read again."""
    known: set[str] = set()
    for each in refusals:
        each["explained"] = each["outcome"].name not in known
        known.add(each["outcome"].name)
    return refusals
