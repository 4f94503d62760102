"""The Valkey store when Valkey is slow, hung, gone, or has forgotten: nobody waits long, and nothing counts twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.gate.factories import tenant
from tests.support.valkey import ValkeyProcess

from aitbc_server.gate import packing, store_valkey
from aitbc_server.gate.records import limit_set
from aitbc_server.gate.shared_store import Question, Stale
from aitbc_server.gate.store import ALLOWED, StoreUnavailableError, Taken
from aitbc_server.gate.store_valkey import ValkeyStore, state_key
from aitbc_server.valkey.connection import Connection, connect

LIMITS = limit_set(tenant(limit=1000), "kid", None)


class Site:
    """A store, its connection, and what it knows of fences."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Connection | None = connection
        self.store = ValkeyStore(lambda: self.connection, timeout_s=0.25)
        self.tokens = {"alice": ""}

    def question(self) -> Question:
        """One request."""
        return Question("alice", LIMITS, 1, ("alice", "live", "kid"), "op", ALLOWED, self.tokens)

    async def take(self) -> Taken:
        """The store's answer to it."""
        while True:
            taken = await self.store.take(self.question())
            if isinstance(taken, Taken):
                return taken
            self.tokens.update(taken.tokens)

    async def counted(self) -> int:
        """How many requests the store has counted."""
        return sum(sum(each.fields.values()) for each in (await self.store.drain({"alice": ()}))["alice"])

    def used(self, taken: Taken) -> int:
        """How much of the limit is used."""
        return 1000 - taken.levels[0].remaining


@pytest.fixture
async def site(own_valkey: ValkeyProcess) -> AsyncIterator[Site]:
    """A store on it."""
    connection = await connect(own_valkey.address, timeout_s=5)
    made = Site(connection)
    await made.store.greet(connection)
    try:
        yield made
    finally:
        connection.close()
        await connection.lost


async def test_all_of_a_turn_travel_in_one_call(site: Site) -> None:
    """However many they are, up to a size at which others would have to wait."""
    await site.take()
    assert site.connection is not None
    before = await calls(site.connection)
    taken = await asyncio.gather(*(site.take() for _ in range(300)))
    assert await calls(site.connection) - before == 2
    assert sorted(site.used(each) for each in taken) == list(range(2, 302))


async def calls(connection: Connection) -> int:
    """How often a script was called."""
    info = (await connection.call("INFO", "commandstats")).decode()
    [line] = [line for line in info.splitlines() if line.startswith("cmdstat_evalsha:")]
    return int(line.partition("calls=")[2].partition(",")[0])


async def test_a_server_that_hangs_is_given_up_after_a_quarter_of_a_second(
    site: Site, own_valkey: ValkeyProcess
) -> None:
    """Then nobody waits for it any more; what was on its way counts nothing when it goes on. Goal A5."""
    await site.take()
    own_valkey.hang()
    began_s = time.monotonic()
    hung_up = asyncio.create_task(site.take())
    asyncio.get_running_loop().call_later(0.05, hung_up.cancel)
    with pytest.raises(StoreUnavailableError) as given_up:
        await site.take()
    assert 0.2 < time.monotonic() - began_s < 1
    assert site.store.hangs
    with pytest.raises(StoreUnavailableError):
        await site.take()
    with pytest.raises(StoreUnavailableError):
        await site.store.raise_fences(["alice"])
    own_valkey.go_on()
    assert given_up.value.counted is not None
    assert await asyncio.wait_for(given_up.value.counted, 5) is False
    site.store.hung.clear()
    assert site.used(await site.take()) == 2
    assert await site.counted() == 2


async def test_an_answer_that_was_only_late_says_that_it_counted(site: Site) -> None:
    """The script ran in time, its answer came too late: who decided meanwhile learns that it was counted."""
    await site.take()
    assert site.connection is not None
    read = site.connection.data_received
    held: list[bytes] = []
    site.connection.data_received = held.append  # type: ignore[method-assign, assignment]
    transport = site.connection._transport
    assert transport is not None
    transport.set_protocol(site.connection)
    with pytest.raises(StoreUnavailableError) as given_up:
        await site.take()
    for data in held:
        read(data)
    assert given_up.value.counted is not None
    assert await asyncio.wait_for(given_up.value.counted, 5) is True


async def test_a_server_that_is_killed_is_noticed_at_once(site: Site, own_valkey: ValkeyProcess) -> None:
    """What waits for it fails, and so does what comes later; nobody waits for the time-out."""
    await site.take()
    own_valkey.hang()
    waiting = asyncio.create_task(site.take())
    await asyncio.sleep(0.05)
    own_valkey.kill()
    with pytest.raises(StoreUnavailableError) as error:
        await waiting
    assert error.value.counted is None
    with pytest.raises(StoreUnavailableError):
        await site.take()
    with pytest.raises(StoreUnavailableError):
        await site.store.look("alice", LIMITS)
    site.connection = None
    with pytest.raises(StoreUnavailableError):
        await site.take()
    with pytest.raises(StoreUnavailableError):
        await site.store.drain({"alice": ()})


async def test_scripts_that_the_server_forgot_are_sent_again(site: Site) -> None:
    """SCRIPT FLUSH harms nobody: the requests of the turn wait a little longer."""
    await site.take()
    assert site.connection is not None
    await site.connection.call("SCRIPT", "FLUSH")
    assert site.used(await site.take()) == 2
    await site.connection.call("SCRIPT", "FLUSH")
    assert await site.store.raise_fences(["alice"])
    await site.connection.call("SCRIPT", "FLUSH")
    assert await site.counted() == 2


async def test_an_error_of_the_script_refuses_and_says_so(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """ASVS 16.5.3: a state that cannot be read is no reason to let anybody in. The log has it once, not each time."""
    await site.take()
    assert site.connection is not None
    await site.connection.call("SET", "aitbc:1:{alice}", "0123456789abcdef and nonsense")
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            await site.take()
    [told] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert told.getMessage().startswith("Valkey refuses to decide, limits are kept by this node alone meanwhile: ERR ")
    with pytest.raises(StoreUnavailableError):
        await site.store.drain({"alice": ()})


async def test_counts_that_were_stored_are_forgotten(site: Site) -> None:
    """The store keeps no minute that the database has for good."""
    await site.take()
    counts = (await site.store.drain({"alice": ()}))["alice"]
    assert [sum(each.fields.values()) for each in counts] == [1]
    assert await site.store.drain({"alice": counts}) == {"alice": []}
    await site.take()
    assert await site.counted() == 1


async def test_a_fence_is_not_raised_before_the_replicas_have_it(
    site: Site, own_valkey: ValkeyProcess, tmp_path: Path
) -> None:
    """A replica that takes over must not bring the old token back."""
    replica = ValkeyProcess(tmp_path / "replica", "--replicaof", "127.0.0.1", str(own_valkey.port))
    try:
        await until_replicated(site)
        assert await site.store.raise_fences(["alice"])
        replica.hang()
        assert not await site.store.raise_fences(["alice"])
    finally:
        replica.close()


async def test_a_plan_of_many_tenants_is_changed_in_few_calls(site: Site) -> None:
    """Each has a token of its own then, and nobody waits for a round trip for each of them."""
    names = [f"tenant-{number}" for number in range(1001)]
    assert await site.store.raise_fences(["alice"])
    assert site.connection is not None
    before = await calls(site.connection)
    assert await site.store.raise_fences(name for name in names)
    assert await calls(site.connection) - before == 11
    tokens = await site.connection.call("MGET", *map(state_key, names))
    assert len(set(tokens)) == 1001
    assert {len(token) for token in tokens} == {16}


async def until_replicated(site: Site) -> None:
    assert site.connection is not None
    async with asyncio.timeout(20):
        # The server rings no bell.
        while b"state=online" not in await site.connection.call("INFO", "replication"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        # One that is online at last says what it has up to a second later.
        while not await site.store.raise_fences(["probe"]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_clock_that_was_set_back_does_not_make_everybody_late(site: Site) -> None:
    """The node learns the store's time anew where that stepped back; late calls are told by the store's own time."""
    await site.take()
    assert site.store._offset_us is not None
    site.store._offset_us += 3_600_000_000
    await site.take()
    await site.take()
    assert site.store._offset_us < time.time() * 1e6
    site.store._offset_us -= 3_600_000_000
    with pytest.raises(StoreUnavailableError):
        await site.take()
    await site.take()


@pytest.mark.parametrize(
    ("broken", "said"),
    [("call", "the store could not be called"), ("answers", "the store's answer could not be read")],
)
async def test_what_is_unexpected_leaves_nobody_waiting(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str, said: str
) -> None:
    """Everybody in the call hears of it, and goes on without the store."""
    await site.take()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(packing, broken, fail)
        errors = await asyncio.gather(site.take(), site.take(), return_exceptions=True)
    assert [str(error) for error in errors] == [said, said]
    assert [record.exc_info is not None for record in caplog.records] == [True]
    await site.take()


async def test_an_unknown_token_brings_the_present_one(site: Site) -> None:
    """Nothing is taken: the request is asked again with what the node has read by then."""
    stale = await site.store.take(Question("alice", LIMITS, 1, None, "op", ALLOWED, {"alice": ""}))
    assert isinstance(stale, Stale)
    assert len(stale.tokens["alice"]) == 16
    assert site.used(await site.take()) == 1


async def test_who_gives_up_waiting_leaves_the_others_of_the_turn_alone(site: Site) -> None:
    """A client that hung up is one request fewer to answer, whatever becomes of the call."""
    await site.take()
    gone, stays = asyncio.create_task(site.take()), asyncio.create_task(site.take())
    await asyncio.sleep(0)
    gone.cancel()
    assert site.used(await stays) == 3
    assert site.connection is not None
    gone, stays = asyncio.create_task(site.take()), asyncio.create_task(site.take())
    await asyncio.sleep(0)
    gone.cancel()
    site.connection.close()
    with pytest.raises(StoreUnavailableError):
        await stays


async def test_a_request_may_have_less_time_than_the_others_of_its_turn(site: Site, own_valkey: ValkeyProcess) -> None:
    """One that has waited before is given up first, and the store is not said to hang for it."""
    await site.take()
    own_valkey.hang()
    began_s = time.monotonic()
    patient = asyncio.create_task(site.take())
    with pytest.raises(StoreUnavailableError) as given_up:
        await site.store.take(site.question(), until_s=began_s + 0.05)
    assert not patient.done()
    assert not site.store.hangs
    own_valkey.go_on()
    assert site.used(await patient) == 3
    assert given_up.value.counted is not None
    assert await asyncio.wait_for(given_up.value.counted, 5) is True


async def test_a_question_with_a_cost_says_what_a_request_would_hear(site: Site) -> None:
    """How long to wait until so much has left is exact, not when the first entry goes; nothing is taken or counted."""
    for _ in range(3):
        await site.take()
        await asyncio.sleep(0.05)
    for number, own in ((3, None), (3, 3)):
        small = limit_set(tenant(limit=number), "kid", own)
        asked, refused = [
            await site.store.take(Question("alice", small, cost, None, "", "", site.tokens)) for cost in (-2, 2)
        ]
        assert isinstance(asked, Taken)
        assert isinstance(refused, Taken)
        assert not asked.allowed
        assert 0 < asked.retry_after_us - refused.retry_after_us < 40_000
        assert asked.retry_after_us - asked.levels[0].reset_us > 40_000
    assert await site.counted() == 3
    fits = await site.store.take(Question("alice", LIMITS, -997, None, "", "", site.tokens))
    assert isinstance(fits, Taken)
    assert (fits.allowed, site.used(fits)) == (True, 3)


async def test_all_tenants_are_listed_some_at_a_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pages the server makes of them."""
    monkeypatch.setattr(store_valkey, "_SCAN_COUNT", 1)
    assert site.connection is not None
    for number in range(40):
        await site.connection.call("SET", state_key(f"tenant-{number}"), "state")
    pages = [page async for page in site.store.tenants()]
    assert len(pages) > 1
    assert {each for page in pages for each in page} == {f"tenant-{number}" for number in range(40)}
