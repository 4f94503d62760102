"""The gate as ASGI middleware: in front of any app, every route protected unless its operation is public."""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

from aitbc_server.errors import Code, DomainError
from aitbc_server.gate.decision import Facts, Refusal
from aitbc_server.gate.gate import Decision, Gate, retry_after_s
from aitbc_server.gate.headers import Headers, limit_headers
from aitbc_server.gate.operations import Operation, Operations
from aitbc_server.gate.request import ClientAddress, Presented, presented
from aitbc_server.problem import MEDIA_TYPE, STATUS, encode_problem, www_authenticate

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Where the app behind the gate finds the ``Context`` in its ASGI scope.
CONTEXT = "aitbc"

# On every answer: nothing here may be sniffed or kept by a cache (ASVS 3.4.4, 14.3.2).
_ALWAYS: Headers = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]


class Context:
    """What the gate found out about a request, for the app behind it.

    ``credential_text`` is the secret itself: it is here so that a long poll can look at its key again, and is
    kept out of ``repr``. ``decision`` is None on public operations.
    """

    __slots__ = ("client_ip", "credential_text", "decision", "facts", "operation", "request_id")

    def __init__(self, request_id: str, operation: Operation, client_ip: str | None) -> None:
        self.request_id = request_id
        self.operation = operation
        self.client_ip = client_ip
        self.decision: Decision | None = None
        self.facts: Facts | None = None
        self.credential_text = b""


class Handler(Protocol):
    """A plain ASGI answer to one operation, in front of the framework."""

    async def __call__(self, context: Context, scope: Scope, receive: Receive) -> tuple[int, Headers, bytes]:
        """The status, headers and body. May raise DomainError."""
        ...


class GateMiddleware:
    """Answers refusals itself, adds the limit headers to everything that passes, and lets nothing else through."""

    def __init__(
        self,
        app: App,
        *,
        gate: Gate,
        operations: Operations,
        handlers: Mapping[str, Handler],
        client_address: ClientAddress,
        allowed_hosts: frozenset[bytes] | None = None,
    ) -> None:
        self._app = app
        self._gate = gate
        self._operations = operations
        self._handlers = handlers
        self._client_address = client_address
        self._allowed_hosts = allowed_hosts
        # Unique over restarts and nodes by the random part, in order within a process by the counter.
        self._request_ids = map(f"req_{secrets.token_hex(6)}{{:08x}}".format, itertools.count(1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        # Anything else (a websocket) is not served here, and what is not served is refused by silence.

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = next(self._request_ids)
        headers: Headers = [(b"x-request-id", request_id.encode()), *_ALWAYS]
        try:
            await self._decide(scope, receive, send, request_id, headers)
        except DomainError as error:
            await _send_problem(send, error, request_id, headers)
        except Exception:
            # The last resort (ASVS 16.5.4): the caller learns nothing but the id to quote.
            logger.exception("a request failed", extra={"request_id": request_id})
            await _send_problem(send, _internal_error(), request_id, headers)

    async def _decide(self, scope: Scope, receive: Receive, send: Send, request_id: str, headers: Headers) -> None:
        raw_headers = scope["headers"]
        if self._allowed_hosts is not None:
            self._refuse_foreign_host(raw_headers)
        operation, key_id = self._operations.find(scope["method"], scope["path"])
        client = scope.get("client")
        context = Context(request_id, operation, self._client_address(client[0] if client else None, raw_headers))
        scope[CONTEXT] = context
        if not operation.public:
            await self._pass_gate(context, key_id, raw_headers, headers)
        handler = self._handlers.get(operation.id)
        if handler is None:
            await self._app(scope, receive, _with_headers(send, headers))
        else:
            status, own_headers, body = await handler(context, scope, receive)
            await respond(send, status, [*own_headers, *headers], body)

    async def _pass_gate(
        self, context: Context, key_id: str | None, raw_headers: list[tuple[bytes, bytes]], headers: Headers
    ) -> None:
        """Decide, write the limit headers down; raises DomainError where the request is refused."""
        credential = presented(raw_headers)
        if not isinstance(credential, Presented):
            raise _refused(credential)
        operation = context.operation
        facts = Facts(operation, key_id, credential.tenant_id, context.client_ip)
        decision = await self._gate.check(credential.text, facts, operation.cost)
        context.decision, context.facts, context.credential_text = decision, facts, credential.text
        if decision.limits is not None and decision.taken is not None:
            headers.extend(limit_headers(decision.limits, decision.taken))
        if decision.refusal is not None:
            raise _refused(decision.refusal, decision)

    def _refuse_foreign_host(self, raw_headers: list[tuple[bytes, bytes]]) -> None:
        # A page of another site that points its own name at 127.0.0.1 (DNS rebinding) must get no answer.
        hosts = [value for name, value in raw_headers if name == b"host"]
        assert self._allowed_hosts is not None
        if len(hosts) != 1 or _host_name(hosts[0]) not in self._allowed_hosts:
            raise DomainError(Code.BAD_REQUEST, "This server answers only to loopback host names.")


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer."""
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send, headers: Headers) -> Send:
    """``send`` with these headers added to the answer; where the app sets one itself, the app's stays."""

    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", ()))
            names = {name for name, _ in own}
            message = {
                **message,
                "headers": [*own, *(header for header in headers if header[0] not in names)],
            }
        await send(message)

    return send_with_headers


def _host_name(host: bytes) -> bytes:
    """The name in a Host header, without its port."""
    name = host.rpartition(b"]")[0] + b"]" if host.startswith(b"[") else host.partition(b":")[0]
    return name.lower()


def _refused(refusal: Refusal, decision: Decision | None = None) -> DomainError:
    headers = {}
    if refusal.code is Code.RATE_LIMIT_EXCEEDED and decision is not None and decision.taken is not None:
        headers["retry-after"] = str(retry_after_s(decision.taken))
    elif refusal.code in {Code.TOO_MANY_FAILURES, Code.UNAVAILABLE}:
        headers["retry-after"] = "1"
    return DomainError(refusal.code, refusal.detail, headers=headers)


def _internal_error() -> DomainError:
    return DomainError(Code.INTERNAL_ERROR, "Something went wrong on our side. Quote the request id to the operator.")


async def _send_problem(send: Send, error: DomainError, request_id: str, headers: Headers) -> None:
    problem_headers: Headers = [(b"content-type", MEDIA_TYPE.encode())]
    challenge = www_authenticate(error.code)
    if challenge is not None:
        problem_headers.append((b"www-authenticate", challenge.encode()))
    problem_headers.extend((name.encode(), value.encode()) for name, value in error.headers.items())
    body = encode_problem(error.code, error.detail, request_id, error.errors)
    await respond(send, STATUS[error.code], [*problem_headers, *headers], body)
