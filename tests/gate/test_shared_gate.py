"""A node of a fleet, with a real Valkey that other nodes use too: it believes nothing that it did not compare."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import pytest
from tests.gate.factories import ANY, FakeClock, FakeSource, FakeUses, decided_early, facts, key, tenant
from tests.support.valkey import ValkeyProcess

from aitbc_server.errors import Code
from aitbc_server.gate.batch import Tell
from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.fence_book import FenceBook
from aitbc_server.gate.gate import INVALID, UNAVAILABLE, Decision
from aitbc_server.gate.guesses import GuessLimiter
from aitbc_server.gate.loads import TurnLoads
from aitbc_server.gate.shared_gate import NO_LIMITS, SharedGate
from aitbc_server.gate.shared_store import Question, Stale
from aitbc_server.gate.store_memory import MemoryStore
from aitbc_server.gate.store_valkey import ValkeyStore
from aitbc_server.valkey.connection import Connection, connect

KEY = b"a right secret"


class Database(FakeSource):
    """What all nodes read. ``reads`` counts queries for many keys at once."""

    def __init__(self) -> None:
        super().__init__()
        self.many: list[list[bytes]] = []

    async def load_all(self, texts: Sequence[bytes]) -> list[Credential | None]:
        """See ``ManySource``."""
        self.many.append(list(texts))
        return await super().load_all(texts)


class Node:
    """A gate with its own cache and its own connection to the store."""

    def __init__(self, database: Database, connection: Connection, **options: Any) -> None:
        self.is_early = options.pop("is_early", False)
        self.connection: Connection | None = connection
        self.cache = CredentialCache()
        self.fences = FenceBook(self.cache)
        self.counter = UsageCounter()
        self.store = ValkeyStore(lambda: self.connection, timeout_s=2.0)
        clock = FakeClock()
        self.gate = SharedGate(
            shared=self.store,
            alone=MemoryStore(clock, self.counter),
            counter=self.counter,
            fences=self.fences,
            turn_loads=TurnLoads(database),
            source=database,
            cache=self.cache,
            guesses=GuessLimiter(30),
            recorder=FakeUses(),
            clock=clock,
            **options,
        )

    async def code(self, text: bytes = KEY, **more: Any) -> Code | None:
        """Why a request is refused."""
        check = partial(decided_early, self.gate) if self.is_early else self.gate.check
        refusal = (await check(text, facts(ANY, **more), 1)).refusal
        return None if refusal is None else refusal.code

    async def shared(self, tenant_id: str = "alice") -> dict[str, int]:
        """What the store counted for a tenant, by outcome."""
        counts: dict[str, int] = {}
        for each in (await self.store.drain({tenant_id: ()}))[tenant_id]:
            for field, count in each.fields.items():
                outcome = field.rpartition("|")[2]
                counts[outcome] = counts.get(outcome, 0) + count
        return counts

    def own(self) -> dict[str, int]:
        """What the node counted by itself, by outcome."""
        return {each.key[2]: each.decisions for each in self.counter.totals()}


@pytest.fixture
def database() -> Database:
    """One key."""
    database = Database()
    database.credentials[KEY] = Credential(key())
    return database


@asynccontextmanager
async def node(valkey: ValkeyProcess, database: Database, **options: Any) -> AsyncIterator[Node]:
    """A node that is connected."""
    connection = await connect(valkey.address, timeout_s=5)
    try:
        made = Node(database, connection, **options)
        await made.store.greet(connection)
        yield made
    finally:
        connection.close()
        await connection.lost


@pytest.fixture(params=[False, True], ids=["awaited", "early"])
def is_early(request: pytest.FixtureRequest) -> bool:
    """Whether nodes are asked for their decisions early: both ways must be as good."""
    return bool(request.param)


@pytest.fixture
async def first(valkey: ValkeyProcess, database: Database, is_early: bool) -> AsyncIterator[Node]:
    """A node, and an empty store."""
    async with node(valkey, database, is_early=is_early) as made:
        assert made.connection is not None
        await made.connection.call("FLUSHALL")
        yield made


@pytest.fixture
async def second(valkey: ValkeyProcess, database: Database, first: Node) -> AsyncIterator[Node]:
    """Another one."""
    async with node(valkey, database, is_early=first.is_early) as made:
        yield made


def change(database: Database, **fields: Any) -> None:
    """The key's row is another one now."""
    record = database.credentials[KEY].record
    database.credentials[KEY] = Credential(msgspec.structs.replace(record, **fields))


async def test_a_key_in_use_costs_no_query(first: Node, database: Database) -> None:
    """A tenant that is new to the node is read twice, its token in between; then nothing is read any more."""
    for _ in range(3):
        assert await first.code() is None
    assert database.asked == [KEY, KEY]
    assert await first.shared() == {"allowed": 3}
    assert first.own() == {}


async def test_both_nodes_take_from_one_limit(first: Node, second: Node, database: Database) -> None:
    """The third request of two a minute is refused, whichever node it comes to."""
    database.credentials[KEY] = Credential(key(tenant(limit=2)))
    assert [await each.code() for each in (first, second, first)] == [None, None, Code.RATE_LIMIT_EXCEEDED]
    assert await first.shared() == {"allowed": 2, "rate_limit_exceeded": 1}


@pytest.mark.parametrize("store", ["there", "away"])
@pytest.mark.parametrize(("plan", "own", "whose"), [(5, 2, "This API key's own limit"), (2, 5, "The rate limit")])
async def test_a_refusal_says_which_limit_it_was(
    first: Node, database: Database, store: str, plan: int, own: int, whose: str
) -> None:
    """A larger plan is advised only where the plan had no room left; the node alone says the same."""
    database.credentials[KEY] = Credential(key(tenant(limit=plan), limit=own))
    if store == "away":
        first.connection = None
    third = [await first.gate.check(KEY, facts(ANY), 1) for _ in range(3)][-1]
    assert third.refusal is not None
    assert third.refusal.detail.startswith(f"{whose} is used up. Retry in ")


async def test_a_change_on_one_node_is_in_effect_on_the_other(first: Node, second: Node, database: Database) -> None:
    """Both ways: a key that is revoked, and one that is let in again. ASVS 8.3.2."""
    assert await second.code() is None
    for enabled, expected in ((False, Code.DISABLED_API_KEY), (True, None)):
        change(database, enabled=enabled)
        assert await first.store.raise_fences(["alice"])
        assert await second.code() is expected


async def test_a_long_poll_looks_at_its_key_again(first: Node, second: Node, database: Database) -> None:
    """What changed while it waited is seen, and nothing is taken or counted for looking."""
    assert await second.gate.recheck(KEY, facts(ANY)) is None
    change(database, revoked=True)
    await first.store.raise_fences(["alice"])
    refusal = await second.gate.recheck(KEY, facts(ANY))
    assert refusal is not None
    assert refusal.code is Code.REVOKED_API_KEY
    assert await first.shared() == {}


async def test_a_key_that_is_gone_is_not_valid(first: Node, database: Database) -> None:
    """Its secret was replaced while the node held the old record."""
    assert await first.code() is None
    del database.credentials[KEY]
    await first.store.raise_fences(["alice"])
    assert await first.code() is Code.INVALID_API_KEY
    assert await first.gate.recheck(KEY, facts(ANY)) is INVALID


async def test_a_record_that_was_read_before_a_drop_is_not_asked_about(
    first: Node, second: Node, database: Database
) -> None:
    """A load that a change overtook is done again: what it found may be from before."""
    read = asyncio.Event()

    async def slow(text: bytes) -> Credential | None:
        found = database.credentials.get(text)
        if not read.is_set():
            read.set()
            change(database, revoked=True)
            await second.store.raise_fences(["alice"])
            # Another request of the tenant brings the new token meanwhile.
            told = await second.store.take(Question("alice", NO_LIMITS, 0, None, "", "", {"alice": ""}))
            assert isinstance(told, Stale)
            first.fences.renew(told.tokens)
        return found

    database.load = slow  # type: ignore[method-assign]
    assert await first.code() is Code.REVOKED_API_KEY


async def test_a_key_of_another_tenant_rests_on_both(first: Node, second: Node, database: Database) -> None:
    """A key that acts for a tenant that was granted to it hears of that tenant's changes too."""
    bob = tenant("bob", plan="pro")
    database.credentials[KEY] = Credential(key(granted=[bob]))
    assert await second.code(tenant_id="bob") is None
    change(database, granted={"bob": msgspec.structs.replace(bob, suspended=True)})
    await first.store.raise_fences(["bob"])
    assert await second.code(tenant_id="bob") is Code.TENANT_SUSPENDED


async def test_what_is_forgotten_is_read_anew(first: Node, database: Database) -> None:
    """As a new connection asks for: tests/valkey/test_store_comes_back.py has real ones."""
    assert await first.code() is None
    change(database, revoked=True)
    first.fences.forget()
    assert await first.code() is Code.REVOKED_API_KEY


async def test_without_the_store_the_node_goes_on_alone(first: Node, database: Database) -> None:
    """It reads all waiting keys in one query, limits by itself, and counts by itself."""
    database.credentials[KEY] = Credential(key(tenant(limit=2)))
    assert await first.code() is None
    first.connection = None
    codes = await asyncio.gather(*(first.code() for _ in range(3)))
    assert sorted(codes, key=str) == [None, None, Code.RATE_LIMIT_EXCEEDED]
    assert database.many == [[KEY]]
    assert first.own() == {"allowed": 2, "rate_limit_exceeded": 1}
    change(database, revoked=True)
    assert await first.code() is Code.REVOKED_API_KEY
    refusal = await first.gate.recheck(KEY, facts(ANY))
    assert refusal is not None
    assert refusal.code is Code.REVOKED_API_KEY
    del database.credentials[KEY]
    assert await first.code() is Code.INVALID_API_KEY
    assert await first.gate.recheck(KEY, facts(ANY)) is INVALID


async def test_without_store_and_database_nothing_passes(first: Node, database: Database) -> None:
    """ASVS 16.5.3: a key that cannot be read is not let through, however well it is known."""
    assert await first.code() is None
    first.connection, database.is_away = None, True
    assert await first.code() is Code.UNAVAILABLE
    assert await first.gate.recheck(KEY, facts(ANY)) is UNAVAILABLE


async def test_with_the_store_a_database_that_is_away_harms_only_keys_that_changed(
    first: Node, second: Node, database: Database
) -> None:
    """Cached keys go on; one whose fence is new cannot be read, and is not let through."""
    assert await first.code() is None
    database.is_away = True
    assert await first.code() is None
    await second.store.raise_fences(["alice"])
    assert await first.code() is Code.UNAVAILABLE
    assert await first.gate.recheck(KEY, facts(ANY)) is UNAVAILABLE


async def test_a_node_may_be_told_to_deny_instead(valkey: ValkeyProcess, database: Database, is_early: bool) -> None:
    """AITBC_ON_STORE_FAILURE=deny: no limit of its own, no answer but 503."""
    async with node(valkey, database, denies_alone=True, is_early=is_early) as strict:
        assert await strict.code() is None
        strict.connection = None
        assert await strict.code() is Code.UNAVAILABLE
        assert await strict.gate.recheck(KEY, facts(ANY)) is UNAVAILABLE


async def test_what_the_store_counted_after_all_is_not_counted_twice(first: Node) -> None:
    """A request that was given up, and decided here, waits for word of what became of it in the store."""
    for was_counted in (True, False):
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        credential = await first.gate._decide_alone(KEY, facts(ANY), 1, told)
        assert credential.refusal is None
        before = first.own()
        told.set_result(was_counted)
        await asyncio.sleep(0)
        assert first.own().get("allowed", 0) - before.get("allowed", 0) == (0 if was_counted else 1)


async def test_what_was_given_up_and_then_found_stale_is_counted_here(first: Node, second: Node) -> None:
    """The store did not count it: its answer came late, and said that the key has changed meanwhile."""
    assert await first.code() is None
    first.store.timeout_s = 0.25
    await second.store.raise_fences(["alice"])
    assert first.connection is not None
    way = first.connection._transport
    assert way is not None
    way.pause_reading()
    assert await first.code() is None
    way.resume_reading()
    async with first.gate.settling():
        await asyncio.sleep(0.05)
    assert (await second.shared(), first.own()) == ({"allowed": 1}, {"allowed": 1})


async def test_an_unexpected_error_is_handed_on(first: Node, database: Database) -> None:
    """It is not taken for an answer of the store's or of the database's."""
    assert await first.code() is None

    async def broken(_: Sequence[bytes]) -> list[Credential | None]:
        raise ZeroDivisionError

    database.load_all, first.connection = broken, None  # type: ignore[method-assign,assignment]
    with pytest.raises(ZeroDivisionError):
        await first.code()


async def test_what_is_cancelled_while_it_goes_on_is_denied(first: Node, database: Database) -> None:
    """A server whose loop ends: nobody passes for it."""
    assert await first.code() is None
    asking = asyncio.Event()

    async def never(_: Sequence[bytes]) -> list[Credential | None]:
        asking.set()
        await asyncio.Event().wait()
        return []

    database.load_all, first.connection = never, None  # type: ignore[method-assign,assignment]
    decided: list[Decision | Exception | None] = []
    first.gate.check_early(KEY, facts(ANY), 1, decided.append)
    await asking.wait()
    for task in list(first.gate._going_on):
        task.cancel()
    await asyncio.sleep(0.01)
    assert decided == [Decision(UNAVAILABLE)]


async def test_decisions_that_go_on_are_settled_too(first: Node, database: Database) -> None:
    """A node that stops stores its counts behind them, whoever has gone meanwhile."""
    assert await first.code() is None
    load = database.load_all

    async def slow(texts: Sequence[bytes]) -> list[Credential | None]:
        await asyncio.sleep(0.1)
        return await load(texts)

    database.load_all, first.connection = slow, None  # type: ignore[method-assign]
    first.gate.check_early(KEY, facts(ANY), 1, lambda _: None)
    await asyncio.sleep(0.02)
    async with first.gate.settling():
        pass
    assert first.own() == {"allowed": 1}


async def test_a_key_that_changes_without_end_is_refused(first: Node, database: Database) -> None:
    """The store is there: a node that decided by itself would have a limit of its own beside the fleet's."""

    async def always_stale(*_: Any, **__: Any) -> Stale:
        return Stale({"alice": f"token {len(database.asked)}"})

    def tell_that_it_is_stale(tell: Tell, *_: Any) -> bool:
        asyncio.get_running_loop().call_soon(tell, Stale({"alice": "a token"}))
        return True

    assert await first.code() is None
    first.store.take = always_stale  # type: ignore[method-assign]
    first.store.ask = tell_that_it_is_stale  # type: ignore[assignment,method-assign]
    assert await first.code() is Code.UNAVAILABLE
    assert database.many == []
    assert first.own() == {}

    async def never_asked(*_: Any, **__: Any) -> Stale:
        return Stale({})

    # Two servers of a cluster that send a question to one another are none: the node goes on by itself.
    first.store.take = never_asked  # type: ignore[method-assign]
    assert await first.code() is None
    assert first.own() == {"allowed": 1}


async def test_who_gives_up_waiting_leaves_the_others_alone(first: Node, database: Database) -> None:
    """Requests that are cancelled while keys are read anew are no harm to those beside them, whatever comes of it."""
    assert await first.code() is None
    first.connection = None
    for is_away, expected in ((False, None), (True, Code.UNAVAILABLE)):
        database.is_away = is_away
        gone, stays = asyncio.create_task(first.code()), asyncio.create_task(first.code())
        # They are on their way to it, over several turns of the loop.
        while len(first.gate._turn_loads._waiting) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        gone.cancel()
        assert await stays is expected


def test_a_token_that_is_known_drops_nothing(database: Database) -> None:
    """Another request brought it already."""
    cache = CredentialCache()
    book = FenceBook(cache)
    book.renew({"alice": "a token"})
    drops = cache.drops
    book.renew({"alice": "a token"})
    assert (cache.drops, book.expected("alice", "bob")) == (drops, {"alice": "a token", "bob": ""})


async def test_tokens_of_silent_tenants_are_forgotten_and_believed_by_nobody(
    first: Node, second: Node, database: Database
) -> None:
    """A fleet with millions of tenants keeps the tokens of those in use; one that comes back is read anew."""
    book = FenceBook(first.cache, max_tokens=3)
    first.fences = first.gate._fences = book
    assert await first.code() is None
    for number in range(20):
        book.renew({f"silent-{number}": "a token"})
        assert len(book) <= 4
    assert book.expected("alice", "silent-0")["silent-0"] == ""
    reads = len(database.asked)
    assert await first.code() is None
    assert len(database.asked) == reads, "a tenant in use keeps its token"
    first.cache.drop_all()
    book.renew({"silent-20": "a token", "silent-21": "a token", "silent-22": "a token"})
    assert book.expected("alice", "alice") == {"alice": ""}
    database.credentials[KEY] = Credential(key(revoked=True))
    await second.store.raise_fences(["alice"])
    assert await first.code() is Code.REVOKED_API_KEY
