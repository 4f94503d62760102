"""Calls that a server of a cluster does not take, one answer at a time. Slots that really move: test_cluster.py."""

from __future__ import annotations

import asyncio
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.gate.factories import tenant
from tests.support.valkey import free_port

from aitbc_server.gate import store_cluster
from aitbc_server.gate.batch import Batch, Waiting
from aitbc_server.gate.records import limit_set
from aitbc_server.gate.shared_store import Stale
from aitbc_server.gate.store import StoreUnavailableError
from aitbc_server.gate.store_cluster import ClusterStore, Member, tenant_slot
from aitbc_server.valkey.connection import Address, Connection, RefusedError
from aitbc_server.valkey.scripts import Script

SLOT = tenant_slot("alice")
TRY_AGAIN = "TRYAGAIN Multiple keys request"
ASK = f"ASK {SLOT} 127.0.0.1:7001"
MOVED = f"MOVED {SLOT} 127.0.0.1:7001"
DOWN = "CLUSTERDOWN The cluster is down"


class Way:
    """A connection on which a server answers what it is told to: a text is a refusal."""

    def __init__(self, *answers: str | bytes) -> None:
        self.answers = list(answers)
        self.said: list[tuple[Any, ...]] = []

    def call(self, *words: Any) -> None:
        """What waits for no answer."""
        self.said.append(words)

    def next(self, *words: Any) -> Any:
        """The next answer."""
        self.said.append(words)
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            raise RefusedError(answer)
        return answer


class Told:
    """A script that is answered by the connection that it is run on."""

    async def run(self, connection: Any, keys: list[str], *_: Any) -> Any:
        """See ``Script.run``."""
        return connection.next(*keys)


class Elsewhere:
    """A member that is sent batches."""

    def __init__(self, way: Way | None = None, aside: Way | None = None) -> None:
        self.connection, self.aside = way, aside
        self.imported: set[int] = set()
        self.store = SimpleNamespace(send=lambda batch, *, asks=False: self.sent.set_result((batch, asks)))
        self.sent: asyncio.Future[tuple[Batch, bool]] = asyncio.get_running_loop().create_future()

    def note_import(self, slot: int) -> bool:
        """See ``Member.note_import``."""
        was_asked = slot in self.imported
        self.imported.add(slot)
        return was_asked


@pytest.fixture
def member(nowhere: ClusterStore) -> Member:
    """The one that is asked first."""
    return nowhere._member(Address(port=free_port()))


def follow(nowhere: ClusterStore, monkeypatch: pytest.MonkeyPatch, *places: Elsewhere) -> None:
    """Where a redirect leads, one after the other."""
    left = list(places)
    monkeypatch.setattr(nowhere._cluster, "follow", lambda _redirect: left.pop(0))


def run(nowhere: ClusterStore, member: Member, way: Way, *keys: str) -> Any:
    return nowhere._run(member, cast("Connection", way), cast("Script", Told()), list(keys), keys)


def a_batch(*, seconds: float = 1) -> Batch:
    return Batch(SLOT, monotonic() + seconds)


async def test_keys_of_which_some_are_gone_are_asked_for_one_by_one(nowhere: ClusterStore, member: Member) -> None:
    """No server has all of them any more, or yet."""
    way = Way(TRY_AGAIN, b"done", b"done")
    assert await run(nowhere, member, way, "one", "other") == 2
    assert way.said == [("one", "other"), ("one",), ("other",)]


async def test_a_key_on_its_way_is_asked_for_again_where_it_was(nowhere: ClusterStore, member: Member) -> None:
    """For a moment it is at neither server."""
    assert await run(nowhere, member, Way(TRY_AGAIN, b"done"), "key") == b"done"


async def test_a_key_that_is_gone_is_asked_for_where_it_is(
    nowhere: ClusterStore, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server there takes it only from who asks for a slot that it has not got yet."""
    there = Way(b"done")
    follow(nowhere, monkeypatch, Elsewhere(there))
    assert await run(nowhere, member, Way(ASK), "key") == b"done"
    assert there.said == [("ASKING",), ("key",)]


async def test_a_server_to_which_there_is_no_way_yet_is_waited_for(
    nowhere: ClusterStore, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one is asked until there is."""
    there = Way(b"done")
    follow(nowhere, monkeypatch, Elsewhere(), Elsewhere(there))
    way = Way(ASK, ASK)
    assert await run(nowhere, member, way, "key") == b"done"
    assert way.said == [("key",), ("key",)]


async def test_what_was_changed_elsewhere_is_remembered(
    nowhere: ClusterStore, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its replicas are to be waited for as well."""
    way, there = Way(ASK), Elsewhere(Way(), Way(b"done"))
    follow(nowhere, monkeypatch, there)
    monkeypatch.setattr(member._link, "aside", way)
    store_cluster._elsewhere.set([])
    assert await run(nowhere, member, way, "key") == b"done"
    [place] = store_cluster._elsewhere.get()
    assert cast("tuple[object, object]", place) == (there.store, there.aside)


@pytest.mark.parametrize(("error", "looks_again"), [(MOVED, False), (DOWN, True), ("ERR no", False)])
async def test_other_refusals_are_the_callers(
    nowhere: ClusterStore, member: Member, monkeypatch: pytest.MonkeyPatch, error: str, looks_again: bool
) -> None:
    """A slot that has moved is asked for at its new master, by whoever knows that one."""
    looked: list[bool] = []
    monkeypatch.setattr(nowhere._cluster, "look_again", lambda: looked.append(True))
    with pytest.raises(RefusedError, match=error.partition(" ")[0]):
        await run(nowhere, member, Way(error), "key")
    assert looked == [True] * looks_again


@pytest.mark.parametrize(("error", "asks"), [(MOVED, False), (ASK, True)])
async def test_a_batch_is_sent_on_to_where_its_slot_is(
    nowhere: ClusterStore, member: Member, monkeypatch: pytest.MonkeyPatch, error: str, asks: bool
) -> None:
    """With the word that it asks for a slot that is on its way, where it is."""
    there, batch = Elsewhere(Way()), a_batch()
    there.imported.add(SLOT)
    follow(nowhere, monkeypatch, there)
    assert nowhere._reroute(member, batch, RefusedError(error))
    assert await asyncio.wait_for(there.sent, 1) == (batch, asks)


async def test_a_batch_that_has_no_time_left_is_not_sent_on(nowhere: ClusterStore, member: Member) -> None:
    """Whoever waits in it is given up before it could be there."""
    assert not nowhere._reroute(member, a_batch(seconds=0.001), RefusedError(TRY_AGAIN))


async def test_a_cluster_that_is_down_is_asked_for_its_shape_again(
    nowhere: ClusterStore, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is not sent on: nobody would take it."""
    asked: list[bool] = []
    monkeypatch.setattr(nowhere._cluster, "look_again", lambda: asked.append(True))
    assert not nowhere._reroute(member, a_batch(), RefusedError(DOWN))
    assert asked == [True]


async def test_of_a_slot_that_is_on_its_way_is_asked_anew_once_for_each_connection(
    nowhere: ClusterStore, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server there may have been restarted, and be as it was before a change: nothing known is believed there."""
    forgotten: list[frozenset[int]] = []
    monkeypatch.setattr(nowhere, "_moved", forgotten.append)
    there = nowhere._member(Address(port=free_port()))
    monkeypatch.setattr(nowhere._cluster, "follow", lambda _redirect: there)
    sent: list[Batch] = []

    def send(batch: Batch, *, asks: bool) -> None:
        assert asks
        sent.append(batch)

    monkeypatch.setattr(there.store, "send", send)
    for connection in (Way(), Way()):
        there._link.connection = cast("Connection", connection)
        for is_known in (False, True):
            batch = a_batch()
            told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            batch.waiting.append(Waiting(told.set_result, (), 1))
            assert nowhere._reroute(member, batch, RefusedError(ASK))
            if is_known:
                await asyncio.sleep(2 * store_cluster._HOP_S)
                assert (sent.pop(), told.done()) == (batch, False)
                assert batch.under is there.connection
            else:
                assert await asyncio.wait_for(told, 1) == Stale({})
    assert forgotten == [frozenset({SLOT})] * 2
    assert sent == []


async def test_a_batch_for_a_server_to_which_there_is_no_way_is_tried_again(
    nowhere: ClusterStore, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whoever has the slot by then."""
    there, batch = Elsewhere(Way()), a_batch()
    follow(nowhere, monkeypatch, Elsewhere())
    monkeypatch.setattr(nowhere._cluster, "owner", lambda _slot: there)
    assert nowhere._reroute(member, batch, RefusedError(MOVED))
    assert await asyncio.wait_for(there.sent, 1) == (batch, False)


async def test_a_question_follows_its_slot(
    nowhere: ClusterStore, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until somebody takes it, or it is too late, or the refusal is of another kind."""
    answers: list[Any] = []
    followed: list[object] = []

    async def looks(*_: Any, **__: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, str):
            raise StoreUnavailableError("refused") from RefusedError(answer)
        return answer

    monkeypatch.setattr(nowhere._cluster, "owner", lambda _slot: member)
    monkeypatch.setattr(nowhere._cluster, "follow", followed.append)
    monkeypatch.setattr("aitbc_server.gate.store_valkey.ValkeyStore.look", looks)
    limits = limit_set(tenant("alice", limit=5), "kid", None)
    answers[:] = [MOVED, ("seen",)]
    assert cast("object", await nowhere.look("alice", limits)) == ("seen",)
    assert len(followed) == 1
    answers[:] = [DOWN]
    with pytest.raises(StoreUnavailableError):
        await nowhere.look("alice", limits)
    monkeypatch.setattr(store_cluster, "TIMEOUT_S", -1)
    answers[:] = [MOVED]
    with pytest.raises(StoreUnavailableError):
        await nowhere.look("alice", limits)
    assert (answers, len(followed)) == ([], 1)
