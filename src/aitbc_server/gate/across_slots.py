"""A request whose tenants are in several hash slots of a cluster, where no one call can speak of all of them.

First every other slot is compared, and says what it would answer, then the acting tenant's own slot decides and counts.
Fences are compared after the request began, so that whatever was confirmed before it is seen. A limit in another slot,
which is a key's own where it acts for a tenant that was granted to it, is taken before the decision, and only when no
limit is full: where the plan's last place goes to another request in that moment, the key's own keeps one too many.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Coroutine, Iterable, Mapping
from time import monotonic
from typing import Any, NamedTuple

import msgspec

from aitbc_server.gate.limiter import Verdict
from aitbc_server.gate.records import LimitSet, UsageId
from aitbc_server.gate.shared_store import Stale
from aitbc_server.gate.store import RATE_LIMITED, StoreUnavailableError, Taken


class SlotPart(NamedTuple):
    """What of a request is in one slot. ``tenant_id`` is there, ``places`` are those of its limits among all."""

    slot: int
    tenant_id: str
    limits: LimitSet
    places: tuple[int, ...]
    fences: Mapping[str, str]


class Count(NamedTuple):
    """For whom a decision is counted, and as what."""

    usage_id: UsageId | None
    operation: str
    outcome: str

    @classmethod
    def nothing(cls) -> Count:
        """No decision."""
        return cls(None, "", "")


#: Asks the store of one slot; the number is the cost, as ``ValkeyStore.take`` has it.
Ask = Callable[[SlotPart, int, Count], Coroutine[Any, Any, Taken | Stale]]


def parts(
    tenant_id: str, limit_set: LimitSet, fences: Mapping[str, str], slot_of: Callable[[str], int]
) -> tuple[SlotPart, list[SlotPart]]:
    """The part in the acting tenant's slot, and the others."""
    owners = [limit.tenant_id or tenant_id for limit in limit_set.limits]
    tenants: dict[int, str] = {}
    for each in (tenant_id, *fences, *owners):
        tenants.setdefault(slot_of(each), each)
    made = []
    for slot, tenant in tenants.items():
        places = tuple(place for place, owner in enumerate(owners) if slot_of(owner) == slot)
        limits = msgspec.structs.replace(limit_set, limits=tuple(limit_set.limits[place] for place in places))
        fenced = {each: token for each, token in fences.items() if slot_of(each) == slot}
        made.append(SlotPart(slot, tenant, limits, places, fenced))
    return made[0], made[1:]


async def take(
    home: SlotPart, others: list[SlotPart], cost: int, count: Count, ask: Ask, *, timeout_s: float
) -> Taken | Stale:
    """As ``ValkeyStore.take``, within ``timeout_s`` altogether."""
    until_s = monotonic() + timeout_s
    nothing = Count.nothing()

    async def look(part: SlotPart, cost: int) -> Taken | Stale:
        try:
            return await _in_time(ask(part, cost, nothing), until_s)
        except StoreUnavailableError as error:
            # Whatever becomes of it, it counted no decision.
            raise StoreUnavailableError(str(error)) from error

    limited = [part for part in others if part.places]
    seen = await asyncio.gather(*(look(part, -cost) for part in ([home, *others] if limited else others)))
    if stale := _stale(seen):
        return stale
    if not limited:
        return await _in_time(ask(home, cost, count), until_s)
    levels = _Levels([home, *others], seen)
    for part in limited if not levels.retry_us else ():
        taken = await look(part, cost)
        if isinstance(taken, Stale):
            return taken
        levels.put(part, taken)
    if levels.retry_us:
        cost, count = 0, count._replace(outcome=RATE_LIMITED)
    taken = await _in_time(ask(home, cost, count), until_s)
    if isinstance(taken, Stale):
        return taken
    levels.put(home, taken)
    return levels.taken()


class _Levels:
    """Where all limits of a request stand, as its parts tell it."""

    def __init__(self, all_parts: Iterable[SlotPart], seen: Iterable[Taken | Stale]) -> None:
        self._at: dict[int, Verdict] = {}
        #: How long until all have room; 0 where they have.
        self.retry_us = 0
        for part, taken in zip(all_parts, seen, strict=True):
            assert isinstance(taken, Taken)
            self.put(part, taken)

    def put(self, part: SlotPart, taken: Taken) -> None:
        """What a part says, now or again."""
        self.retry_us = max(self.retry_us, taken.retry_after_us)
        self._at.update(zip(part.places, taken.levels, strict=True))

    def taken(self) -> Taken:
        """The answer to the request."""
        retry_us = self.retry_us
        allowed = not retry_us
        levels = (self._at[place] for place in sorted(self._at))
        verdicts = (Verdict(allowed, level.remaining, level.reset_us, retry_us) for level in levels)
        return Taken(allowed, tuple(verdicts), retry_us)


def _stale(seen: Iterable[Taken | Stale]) -> Stale | None:
    stale = [each for each in seen if isinstance(each, Stale)]
    return Stale({tenant: token for each in stale for tenant, token in each.tokens.items()}) if stale else None


async def _in_time(asking: Coroutine[Any, Any, Taken | Stale], until_s: float) -> Taken | Stale:
    task = asyncio.ensure_future(asking)
    try:
        done, _ = await asyncio.wait({task}, timeout=max(until_s - monotonic(), 0))
    except asyncio.CancelledError:
        task.cancel()
        raise
    if done:
        return task.result()
    raise StoreUnavailableError("the store did not answer in time", _counted(task))


def _counted(task: Future[Taken | Stale]) -> Future[bool]:
    """Whether a call that nobody waits for any more was carried out after all."""
    counted: Future[bool] = task.get_loop().create_future()

    def tell(done: Future[Taken | Stale]) -> None:
        error = None if done.cancelled() else done.exception()
        if isinstance(error, StoreUnavailableError) and error.counted is not None:
            error.counted.add_done_callback(lambda told: counted.set_result(told.result()))
        else:
            counted.set_result(error is None and not done.cancelled() and isinstance(done.result(), Taken))

    task.add_done_callback(tell)
    return counted
