"""The masters of a cluster: who has which slot, and the way to each of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from aitbc_server.valkey.connection import Address, Connection, connect
from aitbc_server.valkey.link import FAULTS
from aitbc_server.valkey.slots import SLOTS, Redirect, shares
from aitbc_server.valkey.urls import Target

logger = logging.getLogger(__name__)

REFRESH_S = 1.0
_HASTY_S = 0.1
_SETTLING_S = 0.02
# A server to which slots are on their way is in no list yet.
_KEPT_S = 60.0


class Member(Protocol):
    """One master, as whoever speaks to it keeps it."""

    @property
    def address(self) -> Address:
        """Where it listens."""
        ...

    @property
    def connection(self) -> Connection | None:
        """The connection of the moment."""
        ...

    async def start(self) -> bool:
        """Connect, and keep on trying. Returns whether that was possible at once."""
        ...

    async def stop(self) -> None:
        """Leave it."""
        ...


M = TypeVar("M", bound=Member)


class Cluster(Generic[M]):
    """Keeps a member for each master. ``make`` makes one; ``moved`` hears of slots that another one has now.

    A slot goes to its new owner when that is connected, or the old one is not: until then the old one sends callers on.
    """

    def __init__(
        self,
        target: Target,
        make: Callable[[Address], M],
        moved: Callable[[frozenset[int]], None],
        *,
        timeout_s: float,
    ) -> None:
        self._target = target
        self._make = make
        self._moved = moved
        self._timeout_s = timeout_s
        self._known: dict[Address, None] = dict.fromkeys(target.seeds)
        self._members: dict[Address, M] = {}
        self._kept_until: dict[Address, float] = {}
        self._wanted: list[M | None] = [None] * SLOTS
        self._owners: list[M | None] = [None] * SLOTS
        self._unsettled: set[int] = set()
        self._told: list[Any] | None = None
        self._asked = 0
        self._asked_s = 0.0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._starting: set[asyncio.Task[bool]] = set()

    @property
    def members(self) -> Iterable[M]:
        """All masters that are known."""
        return self._members.values()

    @property
    def is_whole(self) -> bool:
        """Whether every slot has an owner to which there is a connection."""
        return None not in self._owners and all(each.connection is not None for each in set(self._owners) if each)

    def owner(self, slot: int) -> M | None:
        """Who has the slot."""
        return self._owners[slot]

    def slots_of(self, member: M) -> frozenset[int]:
        """The slots that a member has or is about to have."""
        pairs = enumerate(zip(self._owners, self._wanted, strict=True))
        return frozenset(slot for slot, (owner, wanted) in pairs if member in (owner, wanted))

    def follow(self, redirect: Redirect) -> M:
        """The member to which a server sent a call."""
        member = self._member(redirect.address)
        if redirect.asks:
            self._kept_until[redirect.address] = monotonic() + _KEPT_S
        else:
            self._want(redirect.slot, member)
            self._settle()
            self.look_again()
        return member

    def look_again(self) -> None:
        """Something is not as it was: ask the servers soon."""
        self._told = None
        self._wake.set()

    async def start(self) -> bool:
        """Find the masters and connect to them, and keep on trying. Returns whether all of them were there at once."""
        first = asyncio.Event()
        self._task = asyncio.create_task(self._keep(first), name="the shape of the Valkey cluster")
        await first.wait()
        return self.is_whole

    async def stop(self) -> None:
        """Leave all of them."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await asyncio.gather(*(member.stop() for member in list(self._members.values())))
        self._members.clear()

    async def _keep(self, first: asyncio.Event) -> None:
        is_failing = False
        while True:
            try:
                await self._step(is_first=not first.is_set())
                is_failing = False
            except Exception:
                # What nobody expected must not end this task: slots would stay where they are without a word.
                if not is_failing:
                    logger.exception("the shape of the Valkey cluster cannot be read; it is tried again")
                is_failing = True
            first.set()
            # However many calls are sent elsewhere, the servers are not asked without a pause.
            await asyncio.sleep(_HASTY_S if is_failing else _SETTLING_S)
            if not self._unsettled and not is_failing:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_HASTY_S):
                        await self._wake.wait()

    async def _step(self, *, is_first: bool) -> None:
        if self._wake.is_set() or monotonic() - self._asked_s >= (REFRESH_S if self.is_whole else _HASTY_S):
            self._wake.clear()
            await self._refresh()
            self._asked_s = monotonic()
        if is_first and self._starting:
            await asyncio.wait(self._starting)
        self._settle()
        await self._drop_unused()

    async def _refresh(self) -> None:
        """Ask one server after the other until one answers, each time beginning with another one."""
        self._asked += 1
        addresses = list(dict.fromkeys([*self._members, *self._known]))
        start = self._asked % len(addresses)
        reason = ""
        for address in addresses[start:] + addresses[:start]:
            try:
                answer = await self._shape(address)
            except FAULTS as error:
                reason = str(error) or type(error).__name__
                continue
            self._learn(answer, address)
            return
        logger.debug("no server of the Valkey cluster says how it looks: %s", reason)

    async def _shape(self, address: Address) -> list[Any]:
        member = self._members.get(address)
        if member is not None:
            if member.connection is None:
                raise ConnectionError("not connected")
            return await self._ask(member.connection)
        connection = await connect(address, timeout_s=self._timeout_s)
        try:
            return await self._ask(connection)
        finally:
            connection.close()

    async def _ask(self, connection: Connection) -> list[Any]:
        async with asyncio.timeout(self._timeout_s):
            answer: list[Any] = await connection.call("CLUSTER", "SLOTS")
        return answer

    def _learn(self, answer: list[Any], asked: Address) -> None:
        if answer == self._told:
            return
        self._known = dict.fromkeys(self._target.seeds)
        for share in shares(answer, asked):
            member = self._member(share.master)
            self._known.update(dict.fromkeys((share.master, *share.replicas)))
            for slot in range(share.first, share.last + 1):
                self._want(slot, member)
        self._told = answer

    def _want(self, slot: int, member: M) -> None:
        self._wanted[slot] = member
        if self._owners[slot] is member:
            self._unsettled.discard(slot)
        else:
            self._unsettled.add(slot)

    def _settle(self) -> None:
        moved = set()
        for slot in list(self._unsettled):
            wanted, owner = self._wanted[slot], self._owners[slot]
            if wanted is None or (wanted.connection is None and owner is not None and owner.connection is not None):
                continue
            if owner is not None:
                moved.add(slot)
            self._owners[slot] = wanted
            self._unsettled.discard(slot)
        if moved:
            self._moved(frozenset(moved))

    def _member(self, address: Address) -> M:
        member = self._members.get(address)
        if member is None:
            member = self._members[address] = self._make(address)
            starting = asyncio.create_task(member.start())
            self._starting.add(starting)
            starting.add_done_callback(self._starting.discard)
        return member

    async def _drop_unused(self) -> None:
        if self._unsettled:
            return
        used = {*self._owners}
        for address, member in list(self._members.items()):
            if member not in used and self._kept_until.get(address, 0.0) < monotonic():
                del self._members[address]
                await member.stop()
