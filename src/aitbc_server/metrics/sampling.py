"""Latency, measured for one request in 64: the others pay for a counter and a comparison."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any

from prometheus_client import Histogram

from aitbc_server.gate.answers import Answer
from aitbc_server.gate.asgi import AnswersEarly, App, Receive, Reply, Scope, Send
from aitbc_server.gate.context import CONTEXT

EVERY = 64


class Sampled:
    """An ASGI app whose requests are measured now and then; it answers early where ``app`` does."""

    def __init__(self, app: App, latency: Histogram, every: int = EVERY) -> None:
        self._app = app
        self._latency = latency
        # The first is measured too, so that there is something to see at once. Taking the next is safe in any thread.
        self._is_sampled: Callable[[], bool] = itertools.cycle([True, *[False] * (every - 1)]).__next__
        inner: object = app
        self._early = inner if isinstance(inner, AnswersEarly) else None

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

    @property
    def is_early_anywhere(self) -> bool:
        """See ``AnswersEarly``."""
        return self._early is None or self._early.is_early_anywhere

    def answer_early(self, scope: Scope, reply: Reply) -> None:
        """See ``AnswersEarly``."""
        if self._early is None:
            reply(None)
        elif self._is_sampled():
            self._early.answer_early(scope, self._measured_reply(scope, reply))
        else:
            self._early.answer_early(scope, reply)

    def _measured_reply(self, scope: Scope, reply: Reply) -> Reply:
        began_s = perf_counter()

        def measured(answer: Answer | None) -> None:
            if answer is not None:
                self._observe(scope, began_s)
            reply(answer)

        return measured

    def _observe(self, scope: Scope, began_s: float) -> None:
        context = scope.get(CONTEXT)
        # A request that never got as far as an operation says nothing about how long one takes.
        if context is not None:
            self._latency.labels(context.operation.id).observe(perf_counter() - began_s)
