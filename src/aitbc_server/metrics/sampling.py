"""Latency, measured for one request in 64: the others pay for a counter and a comparison."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any

from prometheus_client import Histogram

from aitbc_server.gate.answers import Answer
from aitbc_server.gate.asgi import App, Around, Receive, Reply, Scope, Send
from aitbc_server.gate.context import CONTEXT

EVERY = 64

# In the scope of a request that was asked about early: when it began, if it is measured; else 0.
_BEGAN = "aitbc.began"


class Sampled(Around):
    """An ASGI app whose requests are measured now and then; it answers early where ``app`` does."""

    def __init__(self, app: App, latency: Histogram, every: int = EVERY) -> None:
        super().__init__(app)
        self._latency = latency
        # The first is measured too, so that there is something to see at once. Taking the next is safe in any thread.
        self._is_sampled: Callable[[], bool] = itertools.cycle([True, *[False] * (every - 1)]).__next__

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """See ASGI."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        began_s = scope.get(_BEGAN)
        if began_s is None:
            began_s = self._begin()
        return self._measured(scope, receive, send, began_s) if began_s else self._app(scope, receive, send)

    async def _measured(self, scope: Scope, receive: Receive, send: Send, began_s: float) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            self._observe(scope, began_s)

    def answer_early(self, scope: Scope, reply: Reply) -> None:
        """See ``AnswersEarly``."""
        if self._early is None:
            reply(None)
            return
        # Drawn once for a request, whichever way it is answered.
        began_s = scope[_BEGAN] = self._begin()
        self._early.answer_early(scope, self._measured_reply(scope, reply, began_s) if began_s else reply)

    def _measured_reply(self, scope: Scope, reply: Reply, began_s: float) -> Reply:
        def measured(answer: Answer | None) -> None:
            reply(answer)
            if answer is not None:
                self._observe(scope, began_s)

        return measured

    def _begin(self) -> float:
        """When a request begins, if it is measured; else 0."""
        return perf_counter() if self._is_sampled() else 0.0

    def _observe(self, scope: Scope, began_s: float) -> None:
        context = scope.get(CONTEXT)
        # A request that never got as far as an operation says nothing about how long one takes.
        if context is not None:
            self._latency.labels(context.operation.id).observe(perf_counter() - began_s)
