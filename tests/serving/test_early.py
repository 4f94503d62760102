"""Answers that are given without a coroutine: the same answers, decided and counted once.

In one process they are given before a request reaches the event loop; on a node of a fleet it begins all that have come
together, and answers them as the shared store does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from tests.gate.factories import FakeUses, call, key, tenant
from tests.gate.served import Served
from tests.serving.sites import Site, serving
from tests.support.valkey import ValkeyProcess

from aitbc_server.gate.answers import Answer
from aitbc_server.gate.asgi import AnswersEarly, GateMiddleware
from aitbc_server.gate.context import Context
from aitbc_server.gate.cors import Cors
from aitbc_server.gate.fence_book import FenceBook
from aitbc_server.gate.gate import Gate
from aitbc_server.gate.loads import TurnLoads
from aitbc_server.gate.own_operations import SELF
from aitbc_server.gate.self_handler import SelfHandler
from aitbc_server.gate.shared_gate import SharedGate
from aitbc_server.gate.store_valkey import ValkeyStore
from aitbc_server.serving.early import _together
from aitbc_server.valkey.connection import Address, Connection, connect

KEY = b"X-API-Key: the-right-key"
PATH = "/v1/api-keys/self"
REQUEST = b"GET /v1/api-keys/self HTTP/1.1\r\nHost: localhost\r\n" + KEY + b"\r\n"
KID = "kid000000001"
LIMIT = 20


class Watched(SelfHandler):
    """The handler of self, which notes on which threads it was asked, and fails as it is told."""

    def __init__(self) -> None:
        super().__init__(FakeUses())
        self.threads: list[int] = []
        self.error: Exception | None = None

    def answer(self, context: Context) -> Answer:
        """See ``ImmediateHandler``."""
        self.threads.append(threading.get_ident())
        if self.error is not None:
            raise self.error
        return super().answer(context)


class Node(Served):
    """A node of a fleet."""

    def __init__(self, store: ValkeyStore, **options: Any) -> None:
        self.store = store
        super().__init__(**options)

    def make_gate(self, **parts: Any) -> Gate:
        """See ``GateParts``."""
        own = {"shared": self.store, "alone": parts.pop("store"), "counter": self.counter}
        return SharedGate(fences=FenceBook(self.cache), turn_loads=TurnLoads(self.source), **own, **parts)

    async def shared_counts(self) -> dict[tuple[str, str, str], int]:
        """Decisions that the store counted so far, by (kid, operation, outcome)."""
        found: Counter[tuple[str, str, str]] = Counter()
        for counts in (await self.store.drain({"alice": ()}))["alice"]:
            for field, count in counts.fields.items():
                _, kid, operation, outcome = field.split("|")
                found[kid, operation, outcome] += count
        return dict(found)


class WatchedSite(Site):
    """A site whose handler of self is watched."""

    def __init__(self, served: Served, port: int, handler: Watched) -> None:
        super().__init__(served, port)
        self.handler = handler

    async def counts(self) -> dict[tuple[str, str, str], int]:
        """Decisions so far by (kid, operation, outcome), here and in the store."""
        shared = await self.served.shared_counts() if isinstance(self.served, Node) else {}
        return dict(Counter(self.served.counts()) + Counter(shared))


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[tuple[ValkeyStore, Connection]]:
    """An empty store, and the way to it."""
    connection = await connect(address, timeout_s=5)
    try:
        await connection.call("FLUSHALL")
        store = ValkeyStore(lambda: connection)
        await store.greet(connection)
        yield store, connection
    finally:
        connection.close()
        await connection.lost


@asynccontextmanager
async def watched(served: Callable[..., Served]) -> AsyncIterator[WatchedSite]:
    """A server in this process with one key; it stops with the block."""
    handler = Watched()
    made = served(handlers={SELF.id: handler})
    made.add_key("the-right-key", key(tenant(limit=LIMIT), scopes=["jobs:read"]))
    async with serving(made) as site:
        yield WatchedSite(made, site.port, handler)


@pytest.fixture(params=["alone", "in a fleet"])
async def site(request: pytest.FixtureRequest, valkey: ValkeyProcess) -> AsyncIterator[WatchedSite]:
    """A server of either kind."""
    async with (
        connected(valkey.address) as (store, _),
        watched(Served if request.param == "alone" else partial(Node, store)) as made,
    ):
        yield made


def answered(raw: bytes) -> list[bytes]:
    """The status lines of several answers in a row."""
    return [b"HTTP/1.1 " + part.split(b"\r\n")[0] for part in raw.split(b"HTTP/1.1 ")[1:]]


def names(raw: bytes) -> list[bytes]:
    """The names of an answer's headers."""
    head = raw.partition(b"\r\n\r\n")[0]
    return sorted(line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:])


async def test_a_cached_key_is_answered_on_the_thread_that_read_the_request() -> None:
    """The first request loads the key, on the event loop; the next ones do not come there."""
    async with watched(Served) as site:
        for _ in range(3):
            assert (await site.ask(path=PATH, headers=[KEY]))[0] == 200
        here = threading.get_ident()
        first, second, third = site.handler.threads
        assert first == here
        assert second == third != here
        assert await site.counts() == {(KID, "api_keys.self", "allowed"): 3}
        assert site.served.uses.uses == [(KID, "127.0.0.1")] * 3


async def test_on_a_fleet_a_cached_key_needs_no_task(valkey: ValkeyProcess, caplog: pytest.LogCaptureFixture) -> None:
    """All on the event loop, and not one call of the app once the key is known."""
    async with connected(valkey.address) as (store, _), watched(partial(Node, store)) as site:
        assert (await site.ask(path=PATH, headers=[KEY]))[0] == 200
        site.served.middleware.__class__ = NeverCalled
        answers = await asyncio.gather(*(site.ask(path=PATH, headers=[KEY]) for _ in range(LIMIT - 1)))
        assert {status for status, _ in answers} == {200}
        assert set(site.handler.threads) == {threading.get_ident()}
        assert await site.counts() == {(KID, "api_keys.self", "allowed"): LIMIT}


class NeverCalled(GateMiddleware):
    """One that only answers early."""

    async def __call__(self, *_: Any) -> None:
        """See ASGI."""
        raise AssertionError


async def test_clients_that_are_gone_before_their_answer_harm_nobody(
    valkey: ValkeyProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """They are counted, and whoever comes next is answered."""
    async with connected(valkey.address) as (store, _), watched(partial(Node, store)) as site:
        assert (await site.ask(path=PATH, headers=[KEY]))[0] == 200
        aside = await connect(valkey.address, timeout_s=5)
        await aside.call("CLIENT", "PAUSE", 150, "WRITE")
        clients = [(await asyncio.open_connection("127.0.0.1", site.port))[1] for _ in range(5)]
        for client in clients:
            client.write(REQUEST + b"\r\n")
        while len(site.served.uses.uses) < 1 + len(clients):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        for client in clients:
            client.transport.abort()
        assert (await site.ask(path=PATH, headers=[KEY]))[0] == 200
        assert await site.counts() == {(KID, "api_keys.self", "allowed"): 7}
        aside.close()
        await aside.lost
    assert caplog.records == []


async def test_an_unexpected_error_on_a_fleet_is_answered_as_ever(
    valkey: ValkeyProcess, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 500 with its request id in the log, though it came while the request went on without the store."""

    async def broken(_: object) -> None:
        raise ZeroDivisionError("the password is 1234")

    async with connected(valkey.address) as (store, connection), watched(partial(Node, store)) as site:
        assert (await site.ask(path=PATH, headers=[KEY]))[0] == 200
        monkeypatch.setattr(site.served.source, "load_all", broken)
        connection.close()
        with caplog.at_level(logging.ERROR, "aitbc_server.gate.asgi"):
            status, rest = await site.ask(path=PATH, headers=[KEY])
        assert status == 500
        assert b"1234" not in rest
        [record] = [each for each in caplog.records if each.message == "a request failed"]
        assert record.__dict__["request_id"].encode() in rest


async def test_a_store_that_is_lost_meanwhile_costs_no_request(valkey: ValkeyProcess) -> None:
    """Requests that wait for it go on by the node alone, and each is counted once."""
    async with connected(valkey.address) as (store, connection), watched(partial(Node, store)) as site:
        assert (await site.ask(path=PATH, headers=[KEY]))[0] == 200
        aside = await connect(valkey.address, timeout_s=5)
        await aside.call("CLIENT", "PAUSE", 150, "WRITE")
        asking = [asyncio.create_task(site.ask(path=PATH, headers=[KEY])) for _ in range(5)]
        await asyncio.sleep(0.05)
        connection.close()
        assert {(await each)[0] for each in asking} == {200}
        assert site.served.counts() == {(KID, "api_keys.self", "allowed"): 5}
        aside.close()
        await aside.lost


async def test_both_ways_give_the_same_answer(site: WatchedSite) -> None:
    """Status, headers and body, but for what differs with each request."""
    (status, slow), (again, quick) = [await site.ask(path=PATH, headers=[KEY]) for _ in range(2)]
    assert (status, again) == (200, 200)
    assert names(slow) == names(quick)
    assert names(slow).count(b"content-length") == names(slow).count(b"x-request-id") == 1
    slow_body, quick_body = (each.partition(b"\r\n\r\n")[2] for each in (slow, quick))
    assert slow_body.replace(b'"remaining":19', b'"remaining":18') == quick_body


async def test_a_refusal_is_decided_once_and_written_down(site: WatchedSite, caplog: pytest.LogCaptureFixture) -> None:
    """What is found out on the other thread is not asked again on the event loop, which answers it."""
    with caplog.at_level(logging.INFO, "aitbc_server.gate.refusals"):
        answers = [await site.ask(path=PATH, headers=[KEY]) for _ in range(LIMIT + 2)]
    assert [status for status, _ in answers] == [200] * LIMIT + [429] * 2
    assert b"retry-after: 60" in answers[-1][1]
    assert await site.counts() == {
        (KID, "api_keys.self", "allowed"): LIMIT,
        (KID, "api_keys.self", "rate_limit_exceeded"): 2,
    }
    assert [record.message for record in caplog.records] == ["refused"] * 2


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ([], 401, b"missing_api_key"),
        ([b"X-API-Key: wrong"], 401, b"invalid_api_key"),
        ([b"X-API-Key: \xff\xfe"], 401, b"invalid_api_key"),
        ([KEY, KEY], 400, b"ambiguous_credentials"),
        ([KEY, b"X-API-Key: \xff"], 400, b"ambiguous_credentials"),
        ([KEY, b"Authorization: Bearer other"], 400, b"ambiguous_credentials"),
        ([KEY, b"X-Tenant-ID:"], 403, b"tenant_mismatch"),
        ([KEY, b"X-Tenant-ID: alice", b"X-Tenant-ID: \xff"], 400, b"bad_request"),
    ],
)
async def test_what_is_wrong_is_refused_as_ever(
    site: WatchedSite, headers: list[bytes], status: int, code: bytes
) -> None:
    """Before and after the key is cached. ASVS 6.3.4."""
    for _ in range(2):
        answer = await site.ask(path=PATH, headers=headers)
        assert (answer[0], b'"code":"%b"' % code in answer[1]) == (status, True)
        assert (await site.ask(path=PATH, headers=[KEY]))[0] == 200


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
async def test_other_methods_of_the_path(site: WatchedSite, method: str) -> None:
    """405, and nothing is read as the request that the path is known for."""
    await site.ask(path=PATH, headers=[KEY])
    status, rest = await site.ask(method, PATH, [KEY])
    assert status == 405
    assert b"allow: GET, HEAD\r\n" in rest


async def test_head_is_the_same_request_without_the_body(site: WatchedSite) -> None:
    """Decided and counted as the GET's operation, and once."""
    await site.ask(path=PATH, headers=[KEY])
    (_, full), (status, rest) = await site.ask("GET", PATH, [KEY]), await site.ask("HEAD", PATH, [KEY])
    assert status == 200
    assert rest.endswith(b"\r\n\r\n")
    assert names(rest) == names(full)
    assert await site.counts() == {(KID, "api_keys.self", "allowed"): 3}


async def test_a_query_is_refused_and_counted_once(site: WatchedSite) -> None:
    """The path takes no parameters: 422 that names them, whether the key is cached or not. ASVS 2.2.1."""
    for _ in range(2):
        status, rest = await site.ask(path=PATH + "?x=1&=&x", headers=[KEY])
        assert status == 422
        assert b'"detail":"x: is not a query parameter of this path; query: is not' in rest
    assert site.handler.threads == []
    assert await site.counts() == {(KID, "api_keys.self", "allowed"): 2}
    assert (await site.ask(path=PATH + "?", headers=[KEY]))[0] == 200


async def test_pipelined_requests_are_answered_in_order(site: WatchedSite) -> None:
    """Those that are answered at once do not overtake those that are not."""
    await site.ask(path=PATH, headers=[KEY])
    jobs = REQUEST.replace(PATH.encode(), b"/v1/jobs")
    last = REQUEST + b"Connection: close\r\n\r\n"
    raw = await site.raw(b"".join([REQUEST + b"\r\n", jobs + b"\r\n", REQUEST + b"\r\n", jobs + b"\r\n", last]))
    assert answered(raw) == [b"HTTP/1.1 200 OK"] * 5
    remaining = [line.split(b": ")[1] for line in raw.split(b"\r\n") if line.startswith(b"x-ratelimit-remaining")]
    assert remaining == [b"18", b"17", b"16", b"15", b"14"]


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"Content-Length: 33\r\n\r\nGET /v1/api-keys/self HTTP/1.1\r\n\r\n",
    ],
)
async def test_a_body_that_nobody_asked_for_is_no_second_request(site: WatchedSite, body: bytes) -> None:
    """It is left unread, or read and thrown away; what it says is never answered. ASVS 4.2.1."""
    await site.ask(path=PATH, headers=[KEY])
    raw = await site.raw(REQUEST + body + REQUEST + b"Connection: close\r\n\r\n")
    assert answered(raw) in ([b"HTTP/1.1 200 OK"] * 2, [b"HTTP/1.1 200 OK"])
    assert b"missing_api_key" not in raw


async def test_a_body_beyond_the_limit_does_not_harm(site: WatchedSite) -> None:
    """1 MiB and a byte to a route that reads none: it is answered, and the next client too.

    The answer may be lost on its way: a connection that is closed with bytes unread in it is reset.
    """
    await site.ask(path=PATH, headers=[KEY])
    size = 1024 * 1024 + 1
    with contextlib.suppress(ConnectionError):
        raw = await site.raw(REQUEST + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % size, b"x" * size)
        assert b"HTTP/1.1 200 OK".startswith(raw[:15])
    assert (await site.ask(path=PATH, headers=[KEY]))[0] == 200


async def test_an_error_is_answered_and_logged_once(site: WatchedSite, caplog: pytest.LogCaptureFixture) -> None:
    """An error on the other thread comes again on the event loop: a 500 with its request id, and one count."""
    await site.ask(path=PATH, headers=[KEY])
    site.handler.error = RuntimeError("the password is 1234")
    with caplog.at_level(logging.ERROR):
        status, rest = await site.ask(path=PATH, headers=[KEY])
    assert status == 500
    assert b"1234" not in rest
    assert [record.message for record in caplog.records] == ["a request failed"]
    assert await site.counts() == {(KID, "api_keys.self", "allowed"): 2}


async def test_a_key_that_was_dropped_is_looked_up_again(site: WatchedSite) -> None:
    """What was at hand for it is gone with it: a revoked key does not pass."""
    for _ in range(2):
        assert (await site.ask(path=PATH, headers=[KEY]))[0] == 200
    site.served.add_key("the-right-key", key(tenant(limit=LIMIT), revoked=True))
    site.served.cache.drop(["alice"])
    status, rest = await site.ask(path=PATH, headers=[KEY])
    assert (status, b"revoked_api_key" in rest) == (401, True)


async def test_limits_are_exact_over_both_threads(site: WatchedSite) -> None:
    """Requests that are answered at once and requests that go through the app take from one window."""
    await site.ask(path=PATH, headers=[KEY])
    asked = [site.ask(path=path, headers=[KEY]) for path in [PATH, "/v1/jobs"] * LIMIT]
    statuses = [status for status, _ in await asyncio.gather(*asked)]
    assert statuses.count(200) == LIMIT - 1
    assert sum((await site.counts()).values()) == 2 * LIMIT + 1


async def test_behind_cors_it_is_answered_early_too() -> None:
    """With the header that keeps caches from mixing origins up; a browser's own requests go the long way."""
    served = Served()
    served.add_key("k", key())
    cors = Cors(served.middleware, ["https://app.example.com"])
    slow = await call(cors, "GET", PATH, [("x-api-key", "k")])
    early = reply(cors, asked(PATH, (b"x-api-key", b"k")))
    assert early is not None
    assert sorted(name for name, _ in early[1]) == sorted(name for name, _ in slow.pairs)
    assert reply(cors, asked(PATH, (b"x-api-key", b"k"), (b"origin", b"https://x"))) is None
    assert reply(cors, asked(PATH, (b"x-api-key", b"unknown"))) is None
    without = Cors(served.app, ["https://app.example.com"])
    assert without.is_early_anywhere
    assert reply(without, asked(PATH)) is None


def test_what_nobody_has_ready_is_left_to_the_event_loop() -> None:
    """Another path, no key, a host that is not ours: nothing is decided, counted or raised."""
    served = Served(allowed_hosts=frozenset({b"localhost"}))
    host = (b"host", b"localhost")
    assert isinstance(served.middleware, AnswersEarly)
    for scope in (asked("/v1/jobs", host), asked(PATH, host), asked(PATH, (b"x-api-key", b"k"))):
        assert reply(served.middleware, scope) is None
    assert served.counts() == {}
    assert not isinstance(served.app, AnswersEarly)


def reply(app: AnswersEarly, scope: dict[str, Any]) -> Answer | None:
    """What it replies, once and at once."""
    replies: list[Answer | None] = []
    app.answer_early(scope, replies.append)
    (only,) = replies
    return only


def asked(path: str, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    """The ASGI scope of a GET."""
    own = {"path": path, "query_string": b"", "headers": list(headers)}
    return {"type": "http", "method": "GET", "client": None, **own}


class Loop:
    """Notes what it was woken for."""

    def __init__(self) -> None:
        self.woken: list[Callable[[], None]] = []

    def call_soon_threadsafe(self, wake: Callable[[], None]) -> None:
        """See ``asyncio.AbstractEventLoop``."""
        self.woken.append(wake)


class Watcher:
    """A request of Granian's; an error of its own ends it."""

    def __init__(self, scope: int) -> None:
        self.scope = scope
        self.error: Exception | None = None

    def err(self, error: Exception) -> None:
        """See Granian."""
        self.error = error


def test_all_that_came_is_begun_together_and_nobody_is_forgotten() -> None:
    """The loop is woken once; who comes while it begins wakes it again; an error is one request's own."""
    asked: list[int] = []

    class App:
        """Meanwhile the fifth comes, and the second fails."""

        is_early_anywhere = False

        def answer_early(self, scope: Any, reply: Any) -> None:
            """See ``AnswersEarly``."""
            asked.append(scope)
            if scope == 1:
                schedule(watchers[4])
            if scope == 2:
                raise RuntimeError

    loop, watchers = Loop(), [Watcher(number) for number in range(1, 6)]
    schedule = _together(App(), lambda _: None, loop)  # type: ignore[arg-type]
    for watcher in watchers[:4]:
        schedule(watcher)
    (wake,) = loop.woken
    wake()
    assert asked == [1, 2, 3, 4]
    assert [watcher.error is not None for watcher in watchers] == [False, True, False, False, False]
    loop.woken[1]()
    assert asked == [1, 2, 3, 4, 5]
