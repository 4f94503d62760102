"""The real server with its gate taken out: every request is believed, nothing is checked, limited or counted.

``python -m bench.servers.ungated --port N --data-dir D --requests FILE``

The stand-in puts a context into the ASGI scope, as the gate does, because the routes behind it need one: made
at the start for each request of FILE (as wrk draws them), found by its path. It exists for the benchmark alone.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from aitbc_server import app as wiring
from aitbc_server.gate.asgi import App, Receive, Scope, Send
from aitbc_server.gate.context import CONTEXT, Context
from aitbc_server.gate.decision import Refusal
from aitbc_server.gate.gate import Decision, Gate
from aitbc_server.gate.operations import Operations
from aitbc_server.serving.server import Role, run
from aitbc_server.settings import Settings
from bench.common.wrk import Request, read_requests

_PEER = "127.0.0.1"


class Ungated:
    """Takes the place of ``GateMiddleware`` in the wiring; ``requests`` are the ones that it will be sent."""

    def __init__(self, app: App, *, requests: Path, gate: Gate, operations: Operations, **_others: Any) -> None:
        self._app = app
        self._requests = requests
        self._gate = gate
        self._operations = operations
        self._contexts: dict[str, Context] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the connection on. Raises LookupError at the start for a key that is not good."""
        if scope["type"] == "http":
            path = scope["path"]
            scope[CONTEXT] = self._contexts.get(path) or self._public(scope["method"], path)
        else:
            self._contexts = {each.path: await self._context(each) for each in read_requests(self._requests)}
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


async def _nothing(*_: object) -> None:
    return


def main() -> int:
    """Serve until SIGTERM, in all else as ``aitbc serve`` does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--requests", type=Path, required=True)
    given = parser.parse_args()
    wiring.GateMiddleware = partial(Ungated, requests=given.requests)  # type: ignore[assignment,attr-defined]
    role = Role(may_migrate=False, prepare=_nothing, beside=lambda _: nullcontext())
    return run(Settings(data_dir=given.data_dir, port=given.port), role)


if __name__ == "__main__":
    sys.exit(main())
