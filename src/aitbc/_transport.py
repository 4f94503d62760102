"""The one place that speaks HTTP: a blocking and an awaiting shell around the decisions of ``_exchange.py``.

A shell sends, sleeps and pages; it decides nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from aitbc._call import Call, Effect, Flow, Reply, Send, Sleep
from aitbc._exchange import Exchange
from aitbc.exceptions import AITBCError, APIConnectionError, APITimeoutError
from aitbc.schemas.common import Page

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")


class Shell(Protocol):
    """What drives flows. ``run`` and ``pages`` give the result itself, or what is to be awaited for it."""

    exchange: Exchange

    def run(self, flow: Flow[T]) -> T | Coroutine[Any, Any, T]:
        """Do what ``flow`` yields until it returns."""

    def pages(self, call: Call[Page[T]]) -> Iterator[T] | AsyncIterator[T]:
        """Every item of every page, each page asked for when the one before is used up."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A flow's end."""

    value: T


def advance(flow: Flow[T], outcome: Reply | APIConnectionError | float | None = None) -> Effect | Done[T]:
    """Tell ``flow`` the outcome of what it yielded; what it wants next, or its end."""
    try:
        return flow.send(outcome)
    except StopIteration as stop:
        return Done(stop.value)


def following(call: Call[Page[T]], page: Page[T]) -> Call[Page[T]] | None:
    """The call for the page after ``page``, if there is one."""
    if page.next_cursor is None:
        return None
    return replace(call, query={**call.query, "cursor": page.next_cursor})


@dataclass(slots=True)
class SyncShell:
    """Blocks while it sends and waits."""

    exchange: Exchange
    http: httpx2.Client
    sleep: Callable[[float], object]
    clock: Callable[[], float]

    def run(self, flow: Flow[T]) -> T:
        """Do what ``flow`` yields until it returns."""
        step = advance(flow)
        while not isinstance(step, Done):
            step = advance(flow, self._do(step))
        return step.value

    def pages(self, call: Call[Page[T]]) -> Iterator[T]:
        """Every item of every page, each page asked for when the one before is used up."""
        following_call: Call[Page[T]] | None = call
        while following_call is not None:
            page = self.run(self.exchange.perform(following_call))
            yield from page.items
            following_call = following(following_call, page)

    def _do(self, effect: Effect) -> Reply | APIConnectionError | float:
        if isinstance(effect, Sleep):
            if effect.seconds > 0:
                self.sleep(effect.seconds)
            return self.clock()
        try:
            return _reply(self.http.send(_request(self.http, effect), follow_redirects=False))
        except Exception as error:  # _failure raises again what is not of HTTP.
            return _failure(error, effect)


@dataclass(slots=True)
class AsyncShell:
    """Awaits while it sends and waits."""

    exchange: Exchange
    http: httpx2.AsyncClient
    sleep: Callable[[float], Awaitable[object]]
    clock: Callable[[], float]

    async def run(self, flow: Flow[T]) -> T:
        """Do what ``flow`` yields until it returns."""
        step = advance(flow)
        while not isinstance(step, Done):
            step = advance(flow, await self._do(step))
        return step.value

    async def pages(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """Every item of every page, each page asked for when the one before is used up."""
        following_call: Call[Page[T]] | None = call
        while following_call is not None:
            page = await self.run(self.exchange.perform(following_call))
            for item in page.items:
                yield item
            following_call = following(following_call, page)

    async def _do(self, effect: Effect) -> Reply | APIConnectionError | float:
        if isinstance(effect, Sleep):
            if effect.seconds > 0:
                await self.sleep(effect.seconds)
            return self.clock()
        try:
            return _reply(await self.http.send(_request(self.http, effect), follow_redirects=False))
        except Exception as error:  # _failure raises again what is not of HTTP.
            return _failure(error, effect)


def _request(http: httpx2.Client | httpx2.AsyncClient, send: Send) -> httpx2.Request:
    import httpx2

    timeout = httpx2.Timeout(send.timeout_s, read=send.read_timeout_s)
    return http.build_request(send.method, send.url, headers=dict(send.headers), content=send.content, timeout=timeout)


def _reply(response: httpx2.Response) -> Reply:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, response.content)


def _failure(error: Exception, send: Send) -> APIConnectionError:
    """The connection error for what httpx2 raised. Raises AITBCError where trying again cannot help."""
    import httpx2

    where = f"{send.method} {send.url.partition('?')[0]}"
    if isinstance(error, httpx2.TimeoutException):
        failure: APIConnectionError = APITimeoutError(
            f"{where}: no answer within {send.read_timeout_s:g} s ({type(error).__name__})"
        )
    elif isinstance(error, httpx2.TransportError):
        failure = APIConnectionError(
            f"{where}: no answer ({error or type(error).__name__}). Is the server there, and is the base URL "
            "(AITBC_BASE_URL) right?"
        )
    elif isinstance(error, httpx2.HTTPError | httpx2.InvalidURL):
        raise AITBCError(f"{where}: {error}") from error
    else:
        raise error
    failure.__cause__ = error
    return failure
