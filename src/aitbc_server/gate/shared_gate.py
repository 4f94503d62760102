"""The gate of a node in a fleet: what it knows of a key is compared with the store's fences in the deciding call.

While the store is away the node goes on by itself: it reads the keys of all waiting requests anew from the database,
and limits them in its own memory.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import Future
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, NamedTuple

from aitbc_server.gate import decision
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.decision import Facts, Refusal
from aitbc_server.gate.fence_book import FenceBook
from aitbc_server.gate.gate import INVALID, UNAVAILABLE, Decided, Decision, Gate, rate_limited
from aitbc_server.gate.loads import SourceUnavailableError, TurnLoads
from aitbc_server.gate.numbers import NodeNumbers
from aitbc_server.gate.records import LimitSet
from aitbc_server.gate.shared_store import Question, SharedLimits, Stale
from aitbc_server.gate.store import ALLOWED, StoreUnavailableError, Taken
from aitbc_server.gate.store_memory import MemoryStore

logger = logging.getLogger(__name__)

# So often a key is read or asked about for one request before that gives up. A change makes a fence new once, and each
# node that finds it in the outbox at that moment once more; each time the key is read anew, twice if that came between.
_ROUNDS = 64
# A connection that is closed tells what became of its calls at once.
_SETTLED_S = 1.0

NO_LIMITS = LimitSet((), 0, (b"", b""), (), b"", b"")

#: Asks the store about a credential, and gives up at a moment of the monotonic clock; None: at the store's own.
Ask = Callable[[Credential, float | None], Awaitable[Decision | Stale]]


class _Again(NamedTuple):
    """The fences are others than a request was asked about with: they, and how much of the store's time is left."""

    tokens: Mapping[str, str]
    left_s: float


class SharedGate(Gate):
    """See the module. ``denies_alone``: while the store is away, nothing passes."""

    def __init__(
        self,
        *,
        shared: SharedLimits,
        alone: MemoryStore,
        counter: UsageCounter,
        fences: FenceBook,
        turn_loads: TurnLoads,
        denies_alone: bool = False,
        numbers: NodeNumbers | None = None,
        **parts: Any,
    ) -> None:
        super().__init__(store=alone, **parts)
        # Nothing here is decided without asking the store, or the database.
        self._now = None
        self._shared = shared
        self._alone = alone
        self._counter = counter
        self._fences = fences
        self._turn_loads = turn_loads
        self._denies_alone = denies_alone
        self._numbers = numbers
        self._unsettled: set[Future[bool]] = set()
        self._going_on: set[asyncio.Task[Decision]] = set()

    @asynccontextmanager
    async def settling(self) -> AsyncIterator[None]:
        """See ``Gate.settling``: the store tells of requests that were given up, or its connections end, before."""
        try:
            yield
        finally:
            if self._going_on:
                await asyncio.wait(self._going_on, timeout=_SETTLED_S)
            if self._unsettled:
                await asyncio.wait(self._unsettled, timeout=_SETTLED_S)

    def check_early(self, text: bytes, facts: Facts, cost: int, decided: Decided) -> None:
        """See ``Gate.check_early``; on the event loop only, and ``decided`` may be called in a later turn."""
        held = self._cache.get(self._cache.digest(text))
        if held is None:
            decided(None)
            return
        question, decide = self._question(held, facts, cost)
        began_s = monotonic()

        def tell(answer: Taken | Stale | StoreUnavailableError) -> None:
            if isinstance(answer, Taken):
                decided(decide(answer))
                return
            if isinstance(answer, Stale):
                again = _Again(answer.tokens, self._shared.timeout_s - (monotonic() - began_s))
                going_on = self._decide(text, facts, cost, again=again)
            else:
                going_on = self._without_store(text, facts, cost, answer.counted)
            task = asyncio.create_task(self._or_unavailable(going_on))
            self._going_on.add(task)
            task.add_done_callback(self._going_on.discard)
            task.add_done_callback(lambda done: decided(_result(done)))

        if not self._shared.ask(tell, question):
            decided(None)

    async def check(self, text: bytes, facts: Facts, cost: int) -> Decision:
        """See ``Gate.check``."""
        cached = self._cache.get(self._cache.digest(text))
        if cached is None:
            return await super().check(text, facts, cost)
        return await self._or_unavailable(self._decide(text, facts, cost, cached))

    @staticmethod
    async def _or_unavailable(deciding: Awaitable[Decision]) -> Decision:
        try:
            return await deciding
        except (SourceUnavailableError, StoreUnavailableError) as error:
            logger.error("a key could not be checked: %s", error)
            return Decision(UNAVAILABLE)

    async def decide(self, text: bytes, credential: Credential, facts: Facts, cost: int) -> Decision:
        """See ``Gate.decide``."""
        # What was loaded may not be in the cache.
        return await self._decide(text, facts, cost)

    async def _decide(
        self, text: bytes, facts: Facts, cost: int, cached: Credential | None = None, again: _Again | None = None
    ) -> Decision:
        async def ask(held: Credential, until_s: float | None) -> Decision | Stale:
            question, decide = self._question(held, facts, cost)
            answer = await self._shared.take(question, until_s=until_s)
            return answer if isinstance(answer, Stale) else decide(answer)

        try:
            return await self._with_current(text, ask, cached, again)
        except StoreUnavailableError as error:
            counted = error.counted
        return await self._without_store(text, facts, cost, counted)

    async def _without_store(self, text: bytes, facts: Facts, cost: int, counted: Future[bool] | None) -> Decision:
        if self._denies_alone:
            raise StoreUnavailableError("the store did not answer", counted)
        return await self._decide_alone(text, facts, cost, counted)

    async def recheck(self, text: bytes, facts: Facts) -> Refusal | None:
        """See ``Gate.recheck``."""
        try:
            decided = await self._with_current(text, lambda held, until_s: self._compare(held, until_s, facts))
        except SourceUnavailableError:
            return UNAVAILABLE
        except StoreUnavailableError:
            return UNAVAILABLE if self._denies_alone else await self._recheck_alone(text, facts)
        return decided.refusal

    async def _with_current(
        self, text: bytes, ask: Ask, cached: Credential | None = None, again: _Again | None = None
    ) -> Decision:
        """What ``ask`` says of a record whose fences were as this node knew them; it says Stale where they were not.

        Only a record that is in the cache at the very moment of asking is asked about: one that was loaded and not
        put there may be older than the tokens of the book. ``cached``: the one that is there now, if it is at hand.
        ``again``: it was asked before. However often it is asked, it gets its time once. Who has nothing current to ask
        about is refused: the store is there, and a node that decided beside it would have a limit of its own.
        """
        if again is not None:
            self._renew(again)
        for _ in range(_ROUNDS):
            if cached is None:
                digest = self._cache.digest(text)
                cached = self._cache.get(digest)
                if cached is None:
                    if await self._loads.load(text, digest) is None:
                        return Decision(INVALID)
                    continue
            left_s, began_s = self._shared.timeout_s if again is None else again.left_s, monotonic()
            answer = await ask(cached, None if again is None else began_s + left_s)
            if not isinstance(answer, Stale):
                return answer
            again, cached = _Again(answer.tokens, left_s - (monotonic() - began_s)), None
            self._renew(again)
        if again is not None and not again.tokens:
            # Nobody was asked: servers sent the question to one another.
            raise StoreUnavailableError("no server takes the question")
        logger.error("a key could not be checked: it changes faster than it can be read")
        return Decision(UNAVAILABLE)

    def _renew(self, again: _Again) -> None:
        if again.left_s <= 0:
            raise StoreUnavailableError("the store did not answer in time")
        self._fences.renew(again.tokens)

    def _question(self, held: Credential, facts: Facts, cost: int) -> tuple[Question, Callable[[Taken], Decision]]:
        """What the store is asked, and what its answer decides."""
        refusal, tenant, limits, usage_id = self._before_limits(held, facts, self._clock())
        operation = facts.operation.id

        def decide(taken: Taken) -> Decision:
            why = refusal if taken.allowed else rate_limited(taken, limits, cost)
            if why is None and self._numbers is not None:
                self._numbers.allowed[operation] += 1
            return Decision(why, held, tenant, limits, taken, cost)

        fences = self._fences.expected(held.record.tenant.id, tenant.id)
        if refusal is None:
            return Question(tenant.id, limits, cost, usage_id, operation, ALLOWED, fences), decide
        return Question(tenant.id, limits, 0, usage_id, operation, refusal.code, fences), decide

    async def _compare(self, held: Credential, until_s: float | None, facts: Facts) -> Decision | Stale:
        tenant = decision.acting_tenant(held, facts.tenant_id) or held.record.tenant
        fences = self._fences.expected(held.record.tenant.id, tenant.id)
        question = Question(tenant.id, NO_LIMITS, 0, None, "", "", fences)
        taken = await self._shared.take(question, until_s=until_s)
        return taken if isinstance(taken, Stale) else Decision(self.refusal(held, facts))

    async def _decide_alone(self, text: bytes, facts: Facts, cost: int, counted: Future[bool] | None) -> Decision:
        held = await self._turn_loads.load(text)
        if held is None:
            return Decision(INVALID)
        now_us = self._clock()
        refusal, tenant, limits, usage_id = self._before_limits(held, facts, now_us)
        taken = self._alone.take_uncounted(now_us, tenant.id, limits.limits, 0 if refusal else cost)
        if not taken.allowed:
            refusal = rate_limited(taken, limits, cost)
        operation, outcome = facts.operation.id, ALLOWED if refusal is None else refusal.code

        def count(done: Future[bool] | None = None) -> None:
            # What the store counted after all must not be counted twice.
            was_late = done is not None and done.result()
            if not was_late:
                self._counter.add(now_us, usage_id, operation, outcome)
            self._note_alone(operation, outcome, was_late=was_late)

        if counted is None:
            count()
        else:
            self._unsettled.add(counted)
            counted.add_done_callback(count)
            counted.add_done_callback(self._unsettled.discard)
        return Decision(refusal, held, tenant, limits, taken, cost)

    def _note_alone(self, operation: str, outcome: str, *, was_late: bool) -> None:
        """For monitoring, which counts a request that was let through where its usage is not."""
        numbers = self._numbers
        if numbers is None:
            return
        numbers.alone += 1
        if was_late:
            numbers.late += 1
            if outcome == ALLOWED:
                numbers.allowed[operation] += 1

    async def _recheck_alone(self, text: bytes, facts: Facts) -> Refusal | None:
        try:
            held = await self._turn_loads.load(text)
        except SourceUnavailableError:
            return UNAVAILABLE
        return INVALID if held is None else self.refusal(held, facts)


def _result(done: asyncio.Task[Decision]) -> Decision | Exception:
    """What a check ended with: whatever is unexpected is answered as such, and denies."""
    if done.cancelled():
        return Decision(UNAVAILABLE)
    error = done.exception()
    if error is None:
        return done.result()
    return error if isinstance(error, Exception) else Decision(UNAVAILABLE)
