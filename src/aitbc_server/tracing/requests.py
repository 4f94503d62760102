"""Requests and decisions as spans: around the whole app, and around the gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from aitbc_server.gate.asgi import App, Around, Receive, Reply, Scope, Send
from aitbc_server.gate.context import CONTEXT
from aitbc_server.gate.decision import Facts
from aitbc_server.gate.gate import Decision, Gate
from aitbc_server.jobs.model import JobRow
from aitbc_server.tracing.tracer import Tracer

#: In the scope: whether this request is traced, once that was drawn.
_IS_DRAWN = "aitbc.traced"
_NOT_KNOWN = "request"


class Traces:
    """What is traced of a server, where it has a tracer; else everything is as it was."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer

    def app(self, app: App) -> App:
        """The whole app."""
        return app if self._tracer is None else Traced(app, self._tracer)

    def gate(self, gate: Gate) -> Gate:
        """The gate in front of requests."""
        return gate if self._tracer is None else cast("Gate", TracedGate(gate, self._tracer))

    def job_ended(self, row: JobRow) -> None:
        """A job is final."""
        if self._tracer is not None:
            self._tracer.job_ended(row)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Spans are sent until the block is left."""
        if self._tracer is None:
            yield
            return
        async with self._tracer.running():
            yield


class Traced(Around):
    """An ASGI app of whose requests some are traced; the others go to ``app`` and nothing is done for them."""

    def __init__(self, app: App, tracer: Tracer) -> None:
        super().__init__(app)
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or not self._is_drawn(scope):
            await self._app(scope, receive, send)
            return
        status = 0

        async def noting(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._tracer.request(_NOT_KNOWN) as span:
            span.set_attribute("http.request.method", scope["method"])
            try:
                await self._app(scope, receive, noting)
            finally:
                context = scope.get(CONTEXT)
                if context is not None:
                    # The path may hold what somebody made up; the operation is one of a known few.
                    span.update_name(context.operation.id)
                    span.set_attribute("aitbc.request.id", context.request_id)
                if status:
                    span.set_attribute("http.response.status_code", status)

    def answer_early(self, scope: Scope, reply: Reply) -> None:
        """See ``AnswersEarly``."""
        # A request that is traced takes the way on which there is something to be seen.
        if self._early is None or self._is_drawn(scope):
            reply(None)
        else:
            self._early.answer_early(scope, reply)

    def _is_drawn(self, scope: Scope) -> bool:
        drawn: bool | None = scope.get(_IS_DRAWN)
        if drawn is None:
            drawn = scope[_IS_DRAWN] = self._tracer.is_drawn()
        return drawn


class TracedGate:
    """A gate whose decisions on requests that are traced have a span of their own."""

    def __init__(self, gate: Gate, tracer: Tracer) -> None:
        self._gate = gate
        self._tracer = tracer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gate, name)

    def check_cached(self, text: bytes, facts: Facts, cost: int) -> Decision | None:
        """See ``Gate.check_cached``."""
        return None if self._tracer.is_recording else self._gate.check_cached(text, facts, cost)

    async def check(self, text: bytes, facts: Facts, cost: int) -> Decision:
        """See ``Gate.check``."""
        if not self._tracer.is_recording:
            return await self._gate.check(text, facts, cost)
        with self._tracer.part("gate.decide") as span:
            decision = await self._gate.check(text, facts, cost)
            span.set_attribute("aitbc.code", "allowed" if decision.refusal is None else str(decision.refusal.code))
            if decision.credential is not None:
                span.set_attribute("aitbc.key.id", decision.credential.record.key_id)
            if decision.tenant is not None:
                span.set_attribute("aitbc.tenant.id", decision.tenant.id)
            return decision
