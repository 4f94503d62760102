"""A node of a fleet with a real way to a real store: the gate, what it believes, and requests that time themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from time import monotonic

import msgspec
from tests.gate.factories import ANY, FakeSource, FakeUses, decided_early, facts, key, tenant

from aitbc_server.clock import system_clock
from aitbc_server.errors import Code
from aitbc_server.fleet import SharedStore
from aitbc_server.gate.batch import Batch
from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.guesses import GuessLimiter
from aitbc_server.gate.loads import TurnLoads
from aitbc_server.gate.shard import Shard
from aitbc_server.gate.shared_gate import SharedGate
from aitbc_server.gate.store_memory import MemoryStore
from aitbc_server.valkey.connection import Address, Connection, connect

#: All nodes are of one installation, where a test says nothing else.
INSTALLATION = "0123456789abcdef"
#: A request waits no longer for the store; what a busy machine adds to it is not the store's.
MOST_S = 0.25 + 0.25
_READY_S = 20.0


async def anybodys(_connection: Connection, _address: Address) -> None:
    """Whoever's it is, it is used."""


class Keys(FakeSource):
    """The database of all nodes: a key for each tenant, named after it."""

    def add(self, tenant_id: str, limit: int = 1_000_000) -> bytes:
        """A tenant and its key."""
        text = tenant_id.encode()
        self.credentials[text] = Credential(key(tenant(tenant_id, limit=limit)))
        return text

    def revoke(self, text: bytes) -> None:
        """For good."""
        record = self.credentials[text].record
        self.credentials[text] = Credential(msgspec.structs.replace(record, revoked=True))


class Node:
    """See the module."""

    def __init__(self, url: str, keys: Keys, installation: str = INSTALLATION) -> None:
        cache = CredentialCache()
        self.installation = installation
        self.shared = SharedStore(url, cache, self._installation_id)
        self.alone = UsageCounter()
        self.slowest_s = 0.0
        # Requests are asked about in both ways in turn.
        self._is_early = False
        self.gate = SharedGate(
            shared=self.shared.store,
            alone=MemoryStore(system_clock, self.alone),
            counter=self.alone,
            fences=self.shared.fences,
            turn_loads=TurnLoads(keys),
            source=keys,
            cache=cache,
            guesses=GuessLimiter(30),
            recorder=FakeUses(),
            clock=system_clock,
        )

    async def ask(self, text: bytes, tenant_id: str | None = None) -> Code | None:
        """Why a request is refused."""
        began_s = monotonic()
        self._is_early = not self._is_early
        check = partial(decided_early, self.gate) if self._is_early else self.gate.check
        decided = await check(text, facts(ANY, tenant_id=tenant_id), 1)
        self.slowest_s = max(self.slowest_s, monotonic() - began_s)
        return None if decided.refusal is None else decided.refusal.code

    async def shared_counts(self, tenant_id: str) -> dict[str, int]:
        """What the store counted for a tenant, by outcome."""
        counts: dict[str, int] = {}
        drained = await self.shared.store.drain({tenant_id: ()})
        for each in drained[tenant_id]:
            for field, count in each.fields.items():
                outcome = field.rpartition("|")[2]
                counts[outcome] = counts.get(outcome, 0) + count
        return counts

    def counted_alone(self, tenant_id: str) -> int:
        """How many decisions for a tenant the node counted by itself."""
        return sum(each.decisions for each in self.alone.totals() if each.key[0][0] == tenant_id)

    async def _installation_id(self) -> str:
        return self.installation

    async def until(self, state: str = "up") -> None:
        """Wait until the store is in this state, as this node sees it."""
        await until(lambda: self.shared.state == state)


@asynccontextmanager
async def nodes(url: str, keys: Keys, count: int = 2, *, ready_s: float = _READY_S) -> AsyncIterator[list[Node]]:
    """Nodes on one store, connected. Raises TimeoutError where they are not in time."""
    made = [Node(url, keys) for _ in range(count)]
    async with AsyncExitStack() as stack:
        for each in made:
            await stack.enter_async_context(each.shared.running())
        for each in made:
            await until(lambda node=each: node.shared.state == "up", ready_s)  # type: ignore[misc]
        yield made


@asynccontextmanager
async def another_connection(way: Shard, address: Address, *, as_it_sends: Shard) -> AsyncIterator[None]:
    """``way`` gets a new connection between the making and the sending of what is asked next at ``as_it_sends``."""
    store, before, fresh = as_it_sends.store, way.connection, await connect(address, timeout_s=2)
    begin = store._begin

    def replacing(batch: Batch) -> None:
        store._begin = begin  # type: ignore[method-assign]
        way._greeted()
        way._link.connection = fresh
        begin(batch)

    store._begin = replacing  # type: ignore[method-assign]
    try:
        yield
    finally:
        way._greeted()
        way._link.connection = before
        fresh.close()


async def until(holds: Callable[[], bool], within_s: float = _READY_S) -> None:
    """Wait for it."""
    async with asyncio.timeout(within_s):
        # Nobody rings a bell for what a server does.
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Load:
    """Requests without a pause, some at once, on every node in turn; ``codes`` are all answers, in order."""

    def __init__(self, made: list[Node], texts: Sequence[bytes], at_once: int = 4) -> None:
        self.codes: dict[bytes, list[Code | None]] = {text: [] for text in texts}
        self._nodes = made
        self._at_once = at_once
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Load:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        assert self._task is not None
        await self._task

    async def asked(self, more: int) -> None:
        """Wait until so many more requests of each key are answered."""
        goal = {text: len(codes) + more for text, codes in self.codes.items()}
        await until(lambda: all(len(self.codes[text]) >= count for text, count in goal.items()))

    async def _run(self) -> None:
        while not self._stopping:
            for node in self._nodes:
                asking = [(text, node.ask(text)) for text in self.codes for _ in range(self._at_once)]
                answers = await asyncio.gather(*(each for _, each in asking))
                for (text, _), code in zip(asking, answers, strict=True):
                    self.codes[text].append(code)
            await asyncio.sleep(0.005)
