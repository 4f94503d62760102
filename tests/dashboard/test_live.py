"""Live parts: what a stream sends and when it ends, by itself and over a real connection."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx2
import pytest
from tests.support.browser import Browser
from tests.support.installation import HOME, Installation
from tests.support.people import SESSION, sign_in
from tests.usage.world import Key

from aitbc_server.app import create_app
from aitbc_server.dashboard.live import Events, LiveStreams, Pieces
from aitbc_server.errors import Code, DomainError
from aitbc_server.serving.lifespan import Lifespan
from aitbc_server.serving.listener import Listener, address_of, bind
from aitbc_server.stopping import Stopping
from aitbc_server.usage import dashboard as usage_pages
from aitbc_server.users.sessions import IDLE_TIMEOUT

OVER = "event: over\ndata: {}\n\n"


def quick(**options: Any) -> LiveStreams:
    """Streams that look ten times in 100 ms."""
    return LiveStreams(**{"interval_s": 0.01, "lifetime_s": 5.0, **options})


def always(pieces: Mapping[str, str] | None) -> Pieces:
    """The same pieces whenever they are asked for."""

    async def answer() -> Mapping[str, str] | None:
        return pieces

    return answer


async def messages(events: Events, until: Callable[[list[str]], bool] = lambda _: False) -> list[str]:
    """What a stream sends, to its end or until that is enough."""
    found: list[str] = []
    async with asyncio.timeout(5), aclosing(events):
        async for each in events:
            found.append(each)
            if until(found):
                break
    return found


async def test_only_what_changed_is_sent() -> None:
    """Everything first, then each piece when it is another one."""
    states = [{"a": "1", "b": "1"}, {"a": "1", "b": "1"}, {"a": "2", "b": "1"}, None]

    async def pieces() -> Mapping[str, str] | None:
        return states.pop(0)

    assert await messages(quick().open("ada", pieces)) == [
        "retry: 3000\n\n",
        'data: {"a":"1","b":"1"}\n\n',
        'data: {"a":"2"}\n\n',
        OVER,
    ]


async def test_a_quiet_stream_shows_that_it_lives() -> None:
    """A comment now and then, or proxies would close it."""
    sent = await messages(quick(heartbeat_s=0.03).open("ada", always({"a": "1"})), lambda found: len(found) > 3)
    assert sent[2:] == [": still here\n\n"] * 2


async def test_a_stream_ends_after_its_time() -> None:
    """The browser comes back by itself, to whichever process answers then."""
    sent = await messages(quick(lifetime_s=0.05).open("ada", always({"a": "1"})))
    assert sent[-1] != OVER


async def test_a_stop_ends_every_stream_at_once() -> None:
    """The server does not wait for them, and opens no more."""
    streams = LiveStreams(interval_s=30.0)
    waiting = asyncio.create_task(messages(streams.open("ada", always({"a": "1"}))))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    streams.close()
    await waiting
    assert time.monotonic() - began < 1
    with pytest.raises(DomainError) as refused:
        streams.open("ada", always({}))
    assert refused.value.code == Code.UNAVAILABLE


async def test_a_doubt_wakes_the_streams_of_one_person() -> None:
    """At once, however long they would have waited; nobody else's look any sooner."""
    streams = LiveStreams(interval_s=30.0)
    doubted: list[str] = []

    def stream(user_id: str) -> Events:
        async def pieces() -> Mapping[str, str] | None:
            return None if user_id in doubted else {"a": "1"}

        return streams.open(user_id, pieces, lambda: doubted.append(user_id))

    ada, other, bob = [asyncio.create_task(messages(stream(name))) for name in ("ada", "ada", "bob")]
    await asyncio.sleep(0.05)
    streams.look_again("ada")
    streams.look_again("nobody")
    assert [(await task)[-1] for task in (ada, other)] == [OVER, OVER]
    assert (bob.done(), doubted) == (False, ["ada", "ada"])
    streams.close()
    await bob
    assert streams._wake == {}


async def test_streams_are_bounded_for_each_person_and_in_all() -> None:
    """ASVS 2.4.1: more are refused, also those that were asked for in the same moment; one that ended makes room."""
    streams = quick(max_streams=3, max_streams_a_person=2)
    late = streams.open("ada", always({"a": "1"}))
    running = [asyncio.create_task(messages(streams.open("ada", always({"a": "1"})))) for _ in range(2)]
    await asyncio.sleep(0.05)
    assert await messages(late) == [OVER]
    with pytest.raises(DomainError) as refused:
        streams.open("ada", always({}))
    assert refused.value.code == Code.RATE_LIMIT_EXCEEDED
    running.append(asyncio.create_task(messages(streams.open("bob", always({"a": "1"})))))
    await asyncio.sleep(0.05)
    with pytest.raises(DomainError) as refused:
        streams.open("eve", always({}))
    assert refused.value.code == Code.UNAVAILABLE
    running.pop().cancel()
    await asyncio.sleep(0.05)
    assert len(await messages(streams.open("eve", always({"a": "1"})), lambda found: len(found) == 2)) == 2
    streams.close()
    await asyncio.gather(*running)


@pytest.mark.parametrize(("code", "goes_on"), [(Code.UNAVAILABLE, True), (Code.NOT_FOUND, False)])
async def test_a_database_that_is_away_is_waited_for(code: Code, goes_on: bool) -> None:
    """What may no longer be seen ends the stream."""
    answers: list[Any] = [{"a": "1"}, DomainError(code, "no"), {"a": "2"}, None]

    async def pieces() -> Mapping[str, str] | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer) if answer else None

    sent = await messages(quick().open("ada", pieces))
    assert ('data: {"a":"2"}\n\n' in sent) == goes_on
    assert sent[-1] == OVER


class Served:
    """A real server in this process, and who watches its pages."""

    def __init__(self, port: int, browser: Browser, stopping: Stopping) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.stopping = stopping
        self.cookies = browser.cookies
        self._headers = {"cookie": f"{SESSION}={browser.cookies[SESSION]}"}

    @asynccontextmanager
    async def watching(self, path: str) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
        """The messages of a stream."""
        async with (
            httpx2.AsyncClient(base_url=self.url, timeout=10) as client,
            client.stream("GET", path, headers=self._headers) as answer,
        ):
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert answer.headers["cache-control"] == "no-store"
            yield _messages(answer)

    async def call(self, key: Key, path: str = "/v1/api-keys/self") -> int:
        """One call with a key."""
        async with httpx2.AsyncClient(base_url=self.url, timeout=10) as client:
            return (await client.get(path, headers=dict(key.headers))).status_code


async def _messages(answer: httpx2.Response) -> AsyncIterator[dict[str, str]]:
    over = False
    async for line in answer.aiter_lines():
        over = over or line == "event: over"
        if line.startswith("data: "):
            yield {"over": "yes"} if over else json.loads(line.removeprefix("data: "))


async def until(stream: AsyncIterator[dict[str, str]], name: str, words: str) -> None:
    """Wait until a piece says this."""
    async with asyncio.timeout(10):
        async for message in stream:
            if words in message.get(name, ""):
                return
    pytest.fail("the stream ended")


@pytest.fixture
async def served(installation: Installation) -> AsyncIterator[Served]:
    """A running server, and acme's owner."""
    stopping = Stopping()
    app = create_app(installation.settings, installation.clock, stopping)
    lifespan = Lifespan(app)
    await lifespan.start()
    listening = bind("127.0.0.1", 0)
    port = address_of(listening)[1]
    listener = Listener(app, listening)
    task = asyncio.create_task(listener.serve())
    async with httpx2.AsyncClient() as client:
        browser = await sign_in(installation, Browser(client), "usr_owner")
    for _ in range(200):
        try:
            (await asyncio.open_connection("127.0.0.1", port))[1].close()
            break
        except OSError:
            await asyncio.sleep(0.02)
    yield Served(port, browser, stopping)
    stopping.begin()
    listener.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait_for(task, 10)
    await lifespan.stop()


async def test_a_first_call_is_seen_live(served: Served, installation: Installation) -> None:
    """Somebody watches the overview, and their program makes its first call: the page says so within seconds."""
    key = await installation.add_key(HOME)
    async with served.watching("/overview/live?starting=yes") as stream:
        await until(stream, "start", "2 of 3 done")
        assert await served.call(key) == 200
        await until(stream, "start", "Your first call succeeded")


async def test_a_keys_page_follows_its_calls(served: Served, installation: Installation) -> None:
    """Its limit, its numbers and its refusals."""
    key = await installation.add_key(HOME, scopes=[], limit_per_minute=5)
    async with served.watching(f"/api-keys/{key.id}/live") as stream:
        await until(stream, "limits", "5 left")
        assert await served.call(key) == 200
        await until(stream, "limits", "4 left")
        assert await served.call(key, "/v1/jobs") == 403
        await until(stream, "refusals", "Scope missing")


async def test_a_keys_page_sees_the_old_secret_in_use(served: Served, installation: Installation) -> None:
    """Somebody watches whether the old secret may go, and a program uses it: the page says so, aloud too."""
    key = await installation.add_key(HOME)
    installation.clock.now_us += 60_000_000
    old = await installation.add_previous_secret(key, HOME, ends_in_s=3600)
    async with served.watching(f"/api-keys/{key.id}/live") as stream:
        await until(stream, "old-secret", 'data-announce="Nothing has used the old secret."')
        assert await served.call(old, "/v1/jobs") == 200
        await until(stream, "old-secret", 'data-announce="Something still uses the old secret."')


async def test_watching_keeps_no_session_alive(served: Served, installation: Installation) -> None:
    """ASVS 7.3.1: a page that is open, and that nobody uses, is signed out in its time; the stream ends then."""
    async with served.watching("/overview/live") as stream:
        await until(stream, "limits", "left")
        # Most of the idle time passes, and the page asks anew, as it does every ten minutes.
        installation.clock.now_us += IDLE_TIMEOUT.seconds * 1_000_000 - 2_000_000
        async with served.watching("/overview/live") as again:
            await until(again, "limits", "left")
        installation.clock.now_us += 3_000_000
        await until(stream, "over", "yes")


async def test_a_sign_out_ends_the_streams_of_the_session(
    served: Served, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ASVS 7.4.1: at once, also where looking at the session by and by would take an hour; other sessions go on."""
    monkeypatch.setattr(usage_pages, "_SESSION_S", 3600.0)
    async with httpx2.AsyncClient() as client:
        browser, other = Browser(client, served.url), await sign_in(installation, Browser(client), "usr_owner")
        browser.cookies = served.cookies
        page = await browser.get("/settings")
        elsewhere = Served(int(served.url.rpartition(":")[2]), other, served.stopping)
        async with served.watching("/overview/live") as stream, elsewhere.watching("/overview/live") as goes_on:
            await until(stream, "limits", "left")
            await until(goes_on, "limits", "left")
            began = time.monotonic()
            assert (await browser.submit(page, "/sign-out")).status == 303
            await until(stream, "over", "yes")
            assert time.monotonic() - began < 4
            key = await installation.add_key(HOME)
            assert await served.call(key) == 200
            await until(goes_on, "requests", "1 request")


async def test_a_stop_of_the_server_ends_the_streams(served: Served) -> None:
    """Nobody waits for a page that would watch for ten minutes."""
    async with served.watching("/overview/live") as stream:
        await until(stream, "limits", "left")
        began = time.monotonic()
        served.stopping.begin()
        assert [message async for message in stream] == []
        assert time.monotonic() - began < 2
