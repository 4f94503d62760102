"""Live parts of pages: server-sent events with pieces of HTML, from one loop a stream (HTML standard, section 9.2).

A stream sends a piece only when it changed, at most once a second. It ends with the session (at once where that ends in
this process), after ten minutes (the browser comes back by itself), and at once when the server stops. How many there
are is bounded, for each person and in all: a stream costs a connection and a question to the database every few
seconds. (ASVS 2.4.1, 7.3.1)
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping

import msgspec
from litestar.response import Stream

from aitbc_server.errors import Code, DomainError

logger = logging.getLogger(__name__)

MAX_STREAMS = 200
MAX_STREAMS_A_PERSON = 8
LIFETIME_S = 600.0
INTERVAL_S = 1.0
#: Proxies close what is silent for longer.
HEARTBEAT_S = 15.0

MEDIA_TYPE = "text/event-stream"
_RETRY = "retry: 3000\n\n"
_HEARTBEAT = ": still here\n\n"
#: The browser is told not to come back.
_OVER = "event: over\ndata: {}\n\n"

#: The page's live pieces by name; None once the person may not see them any more.
Pieces = Callable[[], Awaitable[Mapping[str, str] | None]]
#: Called before pieces are asked for that the person may not see any more, for all that is known.
Doubt = Callable[[], None]

Events = AsyncGenerator[str, None]


def _nothing() -> None:
    """No doubt about what is looked at each time."""


class LiveStreams:
    """Every open stream of this process."""

    def __init__(
        self,
        *,
        max_streams: int = MAX_STREAMS,
        max_streams_a_person: int = MAX_STREAMS_A_PERSON,
        lifetime_s: float = LIFETIME_S,
        interval_s: float = INTERVAL_S,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._max_streams = max_streams
        self._max_streams_a_person = max_streams_a_person
        self._lifetime_s = lifetime_s
        self._interval_s = interval_s
        self._heartbeat_s = heartbeat_s
        self._open: Counter[str] = Counter()
        # What wakes the streams of each person.
        self._wake: dict[str, set[asyncio.Event]] = {}
        self._closing = False

    def close(self) -> None:
        """End every stream now, and let no new one begin."""
        self._closing = True
        for events in self._wake.values():
            _set(events)

    def look_again(self, user_id: str) -> None:
        """Sessions of this person have ended: each of their streams asks now whether it may go on."""
        _set(self._wake.get(user_id, ()))

    def open(self, user_id: str, pieces: Pieces, doubt: Doubt = _nothing) -> Events:
        """The text of a stream, as it comes about. ``doubt`` is called when ``look_again`` is, before ``pieces``.

        Raises ``rate_limit_exceeded`` and ``unavailable`` where there are too many.
        """
        if self._closing or self._open.total() >= self._max_streams:
            raise DomainError(
                Code.UNAVAILABLE, "No live updates at the moment. Reload the page.", headers={"retry-after": "60"}
            )
        if self._open[user_id] >= self._max_streams_a_person:
            raise DomainError(
                Code.RATE_LIMIT_EXCEEDED,
                "Too many of your pages are open for live updates. Close some, and reload this one.",
                headers={"retry-after": "60"},
            )
        return self._events(user_id, pieces, doubt)

    async def _events(self, user_id: str, pieces: Pieces, doubt: Doubt) -> Events:
        if self._open.total() >= self._max_streams or self._open[user_id] >= self._max_streams_a_person:
            # Several were asked for in the same moment, and this one came last.
            yield _OVER
            return
        wake = asyncio.Event()
        self._open[user_id] += 1
        self._wake.setdefault(user_id, set()).add(wake)
        try:
            yield _RETRY
            async for message in self._messages(pieces, doubt, wake):
                yield message
        finally:
            self._open[user_id] -= 1
            self._wake[user_id].discard(wake)
            if not self._wake[user_id]:
                del self._wake[user_id]

    async def _messages(self, pieces: Pieces, doubt: Doubt, wake: asyncio.Event) -> AsyncIterator[str]:
        time = asyncio.get_running_loop().time
        end = time() + self._lifetime_s
        sent: dict[str, str] = {}
        last_sent = time()
        while time() < end and not self._closing:
            if wake.is_set():
                wake.clear()
                doubt()
            current = await _now(pieces, sent)
            if current is None:
                yield _OVER
                return
            # What escapes and what is escaped is of no more interest: it goes out as it is.
            changed = {name: str(piece) for name, piece in current.items() if sent.get(name) != piece}
            if changed:
                sent |= changed
                yield f"data: {msgspec.json.encode(changed).decode()}\n\n"
                last_sent = time()
            elif time() - last_sent >= self._heartbeat_s:
                yield _HEARTBEAT
                last_sent = time()
            await self._pause(wake)

    async def _pause(self, wake: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self._interval_s):
                await wake.wait()
        except TimeoutError:
            pass


def _set(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        event.set()


def answer(events: Events) -> Stream:
    """The answer that streams them."""
    # Some proxies hold answers back until they are whole, unless they are told.
    return Stream(events, media_type=MEDIA_TYPE, headers={"cache-control": "no-store", "x-accel-buffering": "no"})


async def _now(pieces: Pieces, sent: Mapping[str, str]) -> Mapping[str, str] | None:
    try:
        return await pieces()
    except DomainError as error:
        # A database that is away comes back: until then the page stays as it is.
        if error.code is not Code.UNAVAILABLE:
            return None
        logger.warning("a live page waits: %s", error)
        return sent
