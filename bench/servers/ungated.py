"""The real server with its gate taken out: every request is believed, nothing is checked, limited or counted.

``python -m bench.servers.ungated --port N --data-dir D --requests FILE``

The stand-in puts a context into the ASGI scope, as the gate does, because the routes behind it need one: made
beforehand for each request of FILE (as wrk draws them), found by its path. It exists for the benchmark alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from aitbc_server import app as wiring
from aitbc_server.gate.asgi import CONTEXT, App, Context, Receive, Scope, Send
from aitbc_server.gate.decision import Refusal
from aitbc_server.gate.gate import Decision, Gate
from aitbc_server.gate.operations import Operations
from aitbc_server.settings import Settings
from bench.common.wrk import Request, read_requests
from bench.servers.embedded import arguments, run

_PEER = "127.0.0.1"


class Ungated:
    """Takes the place of ``GateMiddleware`` in the wiring."""

    def __init__(self, app: App, *, gate: Gate, operations: Operations, **_others: Any) -> None:
        self._app = app
        self._gate = gate
        self._operations = operations
        self._contexts: dict[str, Context] = {}

    async def prepare(self, requests: Sequence[Request]) -> None:
        """Make the contexts of all requests. Raises LookupError for a key that is not good."""
        for request in requests:
            self._contexts[request.path] = await self._context(request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the connection on."""
        if scope["type"] == "http":
            path = scope["path"]
            scope[CONTEXT] = self._contexts.get(path) or self._public(scope["method"], path)
        await self._app(scope, receive, send)

    async def _context(self, request: Request) -> Context:
        context = self._public("GET", request.path)
        text = request.key.encode()
        credential = await self._gate.find(text, _PEER)
        if isinstance(credential, Refusal):
            raise LookupError(  # noqa: TRY004
                f"the key for {request.path}: {credential.detail}"
            )
        context.credential_text = text
        context.decision = Decision(None, credential, credential.record.tenant, credential.record.limit_set)
        return context

    def _public(self, method: str, path: str) -> Context:
        return Context("req_bench", self._operations.find(method, path).operation, _PEER)


if __name__ == "__main__":
    given = arguments(__doc__ or "", "--data-dir", "--requests")

    async def _make_app() -> App:
        wiring.GateMiddleware = Ungated  # type: ignore[assignment,attr-defined]
        app = cast("Ungated", wiring.create_app(Settings(data_dir=Path(given.data_dir))))
        await app.prepare(read_requests(Path(given.requests)))
        return app

    run(_make_app, given.port)
