"""Latency, measured for one request in 64: the others pay for a counter and a comparison."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine
from functools import partial
from time import perf_counter
from typing import Any

from prometheus_client import Histogram

from aitbc_server.gate.answers import Answer
from aitbc_server.gate.asgi import App, Receive, Scope, Send
from aitbc_server.gate.context import CONTEXT

EVERY = 64

AtOnce = Callable[[Scope], Answer | None]


class Sampled:
    """An ASGI app whose requests are measured now and then; it answers at once where ``app`` does."""

    def __init__(self, app: App, latency: Histogram, every: int = EVERY) -> None:
        self._app = app
        self._latency = latency
        # The first is measured too, so that there is something to see at once. Taking the next is safe in any thread.
        self._is_sampled: Callable[[], bool] = itertools.cycle([True, *[False] * (every - 1)]).__next__
        at_once: AtOnce | None = getattr(app, "answer_at_once", None)
        if at_once is not None:
            self.answer_at_once = partial(self._answer_at_once, at_once)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """See ASGI."""
        if scope["type"] != "http" or not self._is_sampled():
            return self._app(scope, receive, send)
        return self._measured(scope, receive, send)

    async def _measured(self, scope: Scope, receive: Receive, send: Send) -> None:
        began_s = perf_counter()
        try:
            await self._app(scope, receive, send)
        finally:
            self._observe(scope, began_s)

    def _answer_at_once(self, at_once: AtOnce, scope: Scope) -> Answer | None:
        if not self._is_sampled():
            return at_once(scope)
        began_s = perf_counter()
        answer = at_once(scope)
        if answer is not None:
            self._observe(scope, began_s)
        return answer

    def _observe(self, scope: Scope, began_s: float) -> None:
        context = scope.get(CONTEXT)
        # A request that never got as far as an operation says nothing about how long one takes.
        if context is not None:
            self._latency.labels(context.operation.id).observe(perf_counter() - began_s)
