"""The gate in front of a small app, for tests: one request after the other through ASGI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.gate.factories import Answered, GateParts, call

from aitbc.schemas.scopes import Scope
from aitbc_server.gate.asgi import GateMiddleware
from aitbc_server.gate.context import CONTEXT
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.operations import Audience, Operation, Operations, Route
from aitbc_server.gate.own_operations import SELF, VERIFY
from aitbc_server.gate.records import KeyRecord
from aitbc_server.gate.refusals import RefusalLog
from aitbc_server.gate.request import ClientAddress
from aitbc_server.gate.self_handler import SelfHandler
from aitbc_server.gate.verify import VerifyHandler

HEALTH = Operation("health", audience=Audience.EVERYONE, api=True)
LIST = Operation("jobs.list", Scope.JOBS_READ)
CREATE = Operation("jobs.create", Scope.JOBS_WRITE)
UPDATE = Operation("api_keys.update", Scope.API_KEYS_WRITE, never_own=True)

ROUTES = [
    Route("GET", "/health", HEALTH),
    Route("GET", "/v1/jobs", LIST),
    Route("POST", "/v1/jobs", CREATE),
    Route("PATCH", "/v1/api-keys/{key_id}", UPDATE),
    Route("GET", "/v1/api-keys/self", SELF),
    Route("POST", "/v1/api-keys/verify", VERIFY),
]


class App:
    """The app behind the gate: answers with what it was given, or fails as it is told."""

    def __init__(self) -> None:
        self.contexts: list[Any] = []
        self.lifespans = 0
        self.error: BaseException | None = None
        self.fails_after_start = False
        self.headers: list[tuple[bytes, bytes]] = [(b"content-type", b"text/plain")]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            self.lifespans += 1
            return
        self.contexts.append(scope[CONTEXT])
        if self.error is not None and not self.fails_after_start:
            raise self.error
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        if self.error is not None:
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise self.error
        await send({"type": "http.response.body", "body": b"ok"})


class Served(GateParts):
    """A gate in front of ``App``."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.app = App()
        refusals = RefusalLog()
        self.middleware = GateMiddleware(
            self.app,
            gate=self.gate,
            operations=Operations(ROUTES),
            handlers={
                SELF.id: SelfHandler(self.uses),
                VERIFY.id: VerifyHandler(self.gate, refusals),
                **options.pop("handlers", {}),
            },
            refusals=refusals,
            client_address=options.pop("client_address", ClientAddress()),
            **options,
        )

    def add_key(self, text: str, record: KeyRecord, **credential: Any) -> str:
        """Let the source know a key; returns its text."""
        self.add(text.encode(), Credential(record, **credential))
        return text

    async def get(self, path: str, key: str | None = None, *headers: tuple[str, str]) -> Answered:
        """A GET with a key and further headers."""
        return await self.call("GET", path, key, *headers)

    async def call(
        self,
        method: str,
        path: str,
        key: str | None = None,
        *headers: tuple[str, str],
        body: bytes | Iterable[bytes] = b"",
        peer: str | None = "192.0.2.1",
    ) -> Answered:
        """A request with a key and further headers."""
        own = [] if key is None else [("x-api-key", key)]
        return await call(self.middleware, method, path, [*own, *headers], body=body, peer=peer)
