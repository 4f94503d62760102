"""The store that nodes share where it is a cluster: each tenant is in one hash slot, and each slot with one master.

A request whose tenants are all in one slot takes one call, as with a single server; for others see ``across_slots``.
A master that is away, or hangs, leaves the tenants of its slots to each node alone, and no others.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from time import monotonic
from typing import Any, TypeVar

from aitbc_server.gate import across_slots
from aitbc_server.gate.across_slots import Count, SlotPart
from aitbc_server.gate.batch import Batch, Tell
from aitbc_server.gate.limiter import Verdict
from aitbc_server.gate.records import LimitSet
from aitbc_server.gate.shard import EnsureOurs, Shard
from aitbc_server.gate.shared_store import Counts, Question, Stale
from aitbc_server.gate.store import StoreUnavailableError, Taken
from aitbc_server.gate.store_valkey import TIMEOUT_S, ValkeyStore, state_key
from aitbc_server.gate.whose import SLOT
from aitbc_server.valkey.cluster import Cluster
from aitbc_server.valkey.connection import Address, Connection, RefusedError
from aitbc_server.valkey.scripts import Script
from aitbc_server.valkey.slots import redirect, slot_of
from aitbc_server.valkey.urls import Target

# A call that was sent elsewhere pauses so long: two servers that send it to one another must not keep a core busy.
_HOP_S = 0.001
_AGAIN_S = 0.01
_TRY_AGAIN, _DOWN = "TRYAGAIN", "CLUSTERDOWN"
_GROUPS_AT_ONCE = 64
_STATES = ("up", "hung", "away")

T = TypeVar("T")

#: A server, and the connection on which something was changed there.
Place = tuple[ValkeyStore, Connection]

# Where else the task that gives tokens has changed something: the keys of a slot that is moving are with two servers.
_elsewhere: ContextVar[list[Place]] = ContextVar("elsewhere")


@lru_cache(65_536)
def tenant_slot(tenant_id: str) -> int:
    """The slot of everything that is a tenant's."""
    return slot_of(state_key(tenant_id))


class Member(Shard):
    """A master of a cluster."""

    def __init__(self, address: Address, greeted: Callable[[], None], **options: Any) -> None:
        async def find() -> Address:
            return address

        super().__init__(find, greeted, name=f"Valkey at {address.name}", **options)
        self.address = address
        self._importing: tuple[Connection | None, set[int]] = (None, set())

    def note_import(self, slot: int) -> bool:
        """Note that it is asked, on its present connection, for a slot that is on its way to it. Returns whether it was
        before: until then, what is known of the slot's tenants came by another connection.
        """
        if self._importing[0] is not self.connection:
            self._importing = (self.connection, set())
        _, slots = self._importing
        was_asked = slot in slots
        slots.add(slot)
        return was_asked


class ClusterStore:
    """See the module. ``forget`` is told which tenants' fences cannot be believed any more."""

    def __init__(
        self, target: Target, forget: Callable[[Callable[[str], bool]], None], ensure_ours: EnsureOurs
    ) -> None:
        self._forget = forget
        self._ensure_ours = ensure_ours
        self.touched: dict[str, None] = {}
        self._cluster: Cluster[Member] = Cluster(target, self._member, self._moved, timeout_s=TIMEOUT_S)

    @property
    def state(self) -> str:
        """The worst state of a master: up, hung or away; away where slots have none."""
        if not self._cluster.is_whole:
            return "away"
        return max((member.state for member in self._cluster.members), key=_STATES.index)

    @property
    def timeout_s(self) -> float:
        """See ``ValkeyStore``."""
        return TIMEOUT_S

    async def start(self) -> bool:
        """Connect, and keep on trying. Returns whether all masters were there at once."""
        return await self._cluster.start()

    async def stop(self) -> None:
        """Leave all masters."""
        await self._cluster.stop()

    def disconnect(self) -> None:
        """Leave all masters; what is connected next is greeted like any other."""
        for member in self._cluster.members:
            member.disconnect()

    async def is_ours(self) -> bool:
        """See ``Shard.is_ours``: the master says it that has the key."""
        member = self._cluster.owner(SLOT)
        return member is None or await member.is_ours()

    def ask(self, tell: Tell, question: Question) -> bool:
        """See ``SharedLimits.ask``: it is done where one master has all that is in question."""
        slot = tenant_slot(question.tenant_id)
        member = self._cluster.owner(slot)
        return member is not None and _is_in_one_slot(question, slot) and member.store.ask(tell, question, slot=slot)

    async def take(self, question: Question, *, until_s: float | None = None) -> Taken | Stale:
        """See ``ValkeyStore.take``."""
        slot = tenant_slot(question.tenant_id)
        if _is_in_one_slot(question, slot):
            return await self._owner(slot).store.take(question, slot=slot, until_s=until_s)

        async def ask(part: SlotPart, cost: int, count: Count) -> Taken | Stale:
            member = self._owner(part.slot)
            if member.connection is not under[part.slot]:
                # Since the request began, and so its fences are of another connection: see ``ValkeyStore.send``.
                return Stale({})
            asked = Question(part.tenant_id, part.limits, cost, *count, part.fences)
            return await member.store.take(asked, slot=part.slot)

        home, others = across_slots.parts(question.tenant_id, question.limit_set, question.fences, tenant_slot)
        under = {part.slot: self._owner(part.slot).connection for part in (home, *others)}
        count = Count(question.usage_id, question.operation, question.outcome)
        timeout_s = TIMEOUT_S if until_s is None else min(TIMEOUT_S, until_s - monotonic())
        return await across_slots.take(home, others, question.cost, count, ask, timeout_s=timeout_s)

    async def look(self, tenant_id: str, limit_set: LimitSet) -> tuple[Verdict, ...]:
        """See ``Store.look``."""
        home, others = across_slots.parts(tenant_id, limit_set, {}, tenant_slot)
        seen: dict[int, Verdict] = {}
        for part in (home, *others):
            looking = functools.partial(ValkeyStore.look, tenant_id=part.tenant_id, limit_set=part.limits)
            seen.update(zip(part.places, await self._at_owner(part.slot, looking), strict=True))
        return tuple(seen[place] for place in sorted(seen))

    async def raise_fences(self, tenant_ids: Iterable[str]) -> bool:
        """See ``ValkeyStore.raise_fences``."""
        # Each is tried: what one master does not take is no reason to leave the others' as they are.
        given = await self._at_owners(self._by_slot(tenant_ids), _give_tokens)
        # A master's replicas are waited for once, however many slots it has.
        groups = (each for each in given if not isinstance(each, StoreUnavailableError))
        places = dict.fromkeys(itertools.chain.from_iterable(groups))
        on_replicas = await asyncio.gather(
            *(store.is_on_replicas(connection) for store, connection in places), return_exceptions=True
        )
        _raise_first([*given, *on_replicas])
        return all(on_replicas)

    async def drain(self, tenants: Mapping[str, Iterable[Counts]]) -> dict[str, list[Counts]]:
        """See ``ValkeyStore.drain``. Tenants whose master does not answer are left out, and are touched still."""
        drained: dict[str, list[Counts]] = {}
        groups = self._by_slot(tenants)
        answers = await self._at_owners(
            groups, lambda store, group: store.drain({each: tenants[each] for each in group})
        )
        for group, answer in zip(groups.values(), answers, strict=True):
            if isinstance(answer, StoreUnavailableError):
                self.touched.update(dict.fromkeys(group))
            else:
                drained |= answer
        if not drained:
            _raise_first(answers)
        return drained

    async def tenants(self) -> AsyncIterator[list[str]]:
        """See ``ValkeyStore.tenants``; of all masters that answer."""
        for member in list(self._cluster.members):
            with contextlib.suppress(StoreUnavailableError):
                async for group in member.store.tenants():
                    yield group

    @staticmethod
    def _by_slot(tenant_ids: Iterable[str]) -> dict[int, list[str]]:
        groups: dict[int, list[str]] = {}
        for tenant_id in tenant_ids:
            groups.setdefault(tenant_slot(tenant_id), []).append(tenant_id)
        return groups

    async def _at_owners(
        self, groups: Mapping[int, list[str]], ask: Callable[[ValkeyStore, list[str]], Awaitable[T]]
    ) -> list[T | StoreUnavailableError]:
        """What the masters of the groups' slots say, or why they do not."""
        turn = asyncio.Semaphore(_GROUPS_AT_ONCE)

        async def at(slot: int, group: list[str]) -> T | StoreUnavailableError:
            async with turn:
                try:
                    return await self._at_owner(slot, lambda store: ask(store, group))
                except StoreUnavailableError as error:
                    return error

        return await asyncio.gather(*(at(*each) for each in groups.items()))

    def _owner(self, slot: int) -> Member:
        member = self._cluster.owner(slot)
        if member is None:
            raise StoreUnavailableError("no master is known for the slot")
        return member

    async def _at_owner(self, slot: int, ask: Callable[[ValkeyStore], Awaitable[T]]) -> T:
        """Ask the slot's master, and whoever is it by then when it says that it is not."""
        until_s = monotonic() + TIMEOUT_S
        while True:
            member = self._owner(slot)
            try:
                return await ask(member.store)
            except StoreUnavailableError as error:
                elsewhere = redirect(error.__cause__, member.address)
                if elsewhere is None or monotonic() > until_s:
                    raise
                self._cluster.follow(elsewhere)
                await asyncio.sleep(_AGAIN_S)

    def _member(self, address: Address) -> Member:
        member: Member = Member(
            address,
            lambda: self._moved(self._cluster.slots_of(member)),
            ensure_ours=self._ensure_ours,
            run=lambda *call: self._run(member, *call),
            reroute=lambda batch, error: self._reroute(member, batch, error),
            touched=self.touched,
        )
        return member

    def _moved(self, slots: frozenset[int]) -> None:
        self._forget(lambda tenant_id: tenant_slot(tenant_id) in slots)

    async def _run(
        self, member: Member, connection: Connection, script: Script, keys: list[str], arguments: tuple[Any, ...]
    ) -> Any:
        """Run a script where the keys are while their slot is on its way; the caller bounds the time."""
        changes, came_on = connection is member.aside, connection
        asked: Member | None = None
        while True:
            try:
                if asked is not None:
                    connection.call("ASKING")
                answer = await script.run(connection, keys, *arguments)
            except RefusedError as error:
                if error.kind == _TRY_AGAIN and len(keys) == len(arguments) > 1:
                    # Some keys are here, the others there. Each has its argument, so that they need no common call.
                    for key, argument in zip(keys, arguments, strict=True):
                        await self._run(member, came_on, script, [key], (argument,))
                    return len(keys)
                elsewhere = redirect(error, member.address)
                if error.kind != _TRY_AGAIN and (elsewhere is None or not elsewhere.asks):
                    self._note(error)
                    raise
                there = None if elsewhere is None else self._cluster.follow(elsewhere)
                if there is not None and (way := there.aside if changes else there.connection) is not None:
                    asked, connection = there, way
                await asyncio.sleep(_AGAIN_S)
            else:
                if asked is not None and changes:
                    _elsewhere.get([]).append((asked.store, connection))
                return answer

    def _reroute(self, member: Member, batch: Batch, error: RefusedError) -> bool:
        """Send a batch on to where its slot is; False where that is not known, or it is too late."""
        elsewhere = redirect(error, member.address)
        if elsewhere is None and error.kind != _TRY_AGAIN:
            self._note(error)
            return False
        if monotonic() + _AGAIN_S >= batch.until_s:
            return False
        loop = asyncio.get_running_loop()
        there = None if elsewhere is None else self._cluster.follow(elsewhere)
        if elsewhere is None or there is None or there.connection is None:
            loop.call_later(_AGAIN_S, self._send_again, batch)
        elif elsewhere.asks and there.note_import(batch.slot):
            batch.under = there.connection
            loop.call_later(_HOP_S, functools.partial(there.store.send, batch, asks=True))
        elif elsewhere.asks:
            self._moved(frozenset({batch.slot}))
            loop.call_later(_HOP_S, batch.be_asked_again)
        else:
            loop.call_later(_HOP_S, there.store.send, batch)
        return True

    def _send_again(self, batch: Batch) -> None:
        member = self._cluster.owner(batch.slot)
        if member is None:
            batch.fail("no master is known for the slot")
        else:
            member.store.send(batch)

    def _note(self, error: RefusedError) -> None:
        if error.kind == _DOWN:
            self._cluster.look_again()


def _is_in_one_slot(question: Question, slot: int) -> bool:
    """Whether everybody whose limits and fences these are is in this slot."""
    owners = (limit.tenant_id for limit in question.limit_set.limits if limit.tenant_id)
    return all(tenant_slot(each) == slot for each in (*question.fences, *owners))


async def _give_tokens(store: ValkeyStore, tenant_ids: list[str]) -> list[Place]:
    """New tokens for tenants of one slot. Returns where they were given."""
    elsewhere: list[Place] = []
    _elsewhere.set(elsewhere)
    return [(store, await store.give_tokens(tenant_ids)), *elsewhere]


def _raise_first(answers: Iterable[object]) -> None:
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
