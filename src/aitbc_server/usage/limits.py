"""Where limits stand at this moment, for pages: a look takes nothing from them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from aitbc.schemas.scopes import Scope
from aitbc_server.actor import Actor
from aitbc_server.api_keys.permissions import visible
from aitbc_server.clock import US_PER_S
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import insufficient_scope, not_found
from aitbc_server.gate.limiter import Verdict
from aitbc_server.gate.records import LimitSet, limit_set, tenant_record
from aitbc_server.ids import kid_of
from aitbc_server.usage import repository


class LimitState(NamedTuple):
    """One limit. ``own``: it is a key's own, not the plan's, whose name ``name`` is then.

    ``reset_s``: seconds, rounded up, until the oldest counted request leaves the window; 0 for an empty one.
    """

    name: str
    own: bool
    limit: int
    remaining: int
    reset_s: int


class Levels(Protocol):
    """Whoever knows where limits stand: each store does."""

    async def look(self, tenant_id: str, limit_set: LimitSet) -> tuple[Verdict, ...]:
        """See ``Store.look``."""
        ...


class LimitStates:
    """Asks the store. Raises ``insufficient_scope``, ``not_found`` and StoreUnavailableError."""

    def __init__(self, units: UnitsOfWork, store: Levels) -> None:
        self._units = units
        self._store = store

    async def of_tenant(self, actor: Actor) -> list[LimitState]:
        """The plan's limit of the actor's tenant."""
        return await self._states(actor, None)

    async def of_key(self, actor: Actor, key_id: str) -> list[LimitState]:
        """The limits of a request with this key: the plan's, and its own where it has one."""
        kid = kid_of(key_id)
        if kid is None:
            raise not_found()
        return await self._states(actor, kid)

    async def _states(self, actor: Actor, kid: str | None) -> list[LimitState]:
        if not actor.may(Scope.USAGE_READ):
            raise insufficient_scope(Scope.USAGE_READ)
        async with self._units.read() as session:
            plan = await repository.plan_of(session, actor.tenant_id)
            own = None if kid is None else visible(actor, await repository.key(session, kid)).limit_per_minute
        if plan is None:
            raise not_found()
        record = tenant_record(actor.tenant_id, "", plan.id, plan.limit_per_minute, suspended=False)
        limits = limit_set(record, kid or "", own)
        levels = await self._store.look(actor.tenant_id, limits)
        return [
            LimitState(
                plan.name if not limit.window else "",
                bool(limit.window),
                limit.limit,
                level.remaining,
                -(-level.reset_us // US_PER_S),
            )
            for limit, level in zip(limits.limits, levels, strict=True)
        ]
