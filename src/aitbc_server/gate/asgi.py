"""The gate as ASGI middleware: in front of any app, every route protected unless its operation is public."""

from __future__ import annotations

import itertools
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any, Protocol

import msgspec

from aitbc_server.errors import Code, DomainError
from aitbc_server.gate import answers
from aitbc_server.gate.answers import Answer
from aitbc_server.gate.body import ClientDisconnectedError
from aitbc_server.gate.decision import Facts
from aitbc_server.gate.gate import Decision, Gate
from aitbc_server.gate.headers import Headers, limit_headers, numbers
from aitbc_server.gate.operations import UNMATCHED, Operation, Operations
from aitbc_server.gate.request import ClientAddress, Presented, RawHeaders, presented

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]

#: Where the app behind the gate finds the ``Context`` in its ASGI scope.
CONTEXT = "aitbc"

# On every answer that does not say otherwise itself: it is not sniffed, not kept by a cache, not put in a frame, runs
# nothing, and its address goes nowhere. (ASVS 3.4.3 to 3.4.6, 14.3.2)
_ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]

_POLICY_VIOLATION = 1008
_PORT = re.compile(rb":[0-9]*\Z")


class Context(msgspec.Struct, eq=False):
    """What the gate found out about a request, for the app behind it.

    ``credential_text`` is the secret itself: it is here so that a long poll can look at its key again, and is
    kept out of ``repr``. ``decision`` and ``facts`` are None on public operations. ``limit_state`` is remaining and
    reset of each limit, in order.
    """

    request_id: str
    operation: Operation
    client_ip: str | None
    decision: Decision | None = None
    facts: Facts | None = None
    credential_text: bytes = b""
    limit_state: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"Context({self.request_id!r}, {self.operation.id!r})"


class Handler(Protocol):
    """A plain ASGI answer to one operation, in front of the framework; at once, or to be awaited."""

    def __call__(self, context: Context, scope: Scope, receive: Receive) -> Answer | Awaitable[Answer]:
        """The status, headers and body. May raise DomainError and ClientDisconnectedError."""
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
        self._request_ids = map(f"req_{secrets.token_hex(6)}%08x".__mod__, itertools.count(1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._serve_other(scope, receive, send)
            return
        request_id = next(self._request_ids)
        headers: Headers = [(b"x-request-id", request_id.encode()), *_ALWAYS]
        forward = None
        try:
            context = self._context(scope, request_id)
            operation, facts = context.operation, context.facts
            if facts is not None:
                text = context.credential_text
                # At once where that can be, which is half the work of a coroutine.
                decision = self._gate.check_cached(text, facts, operation.cost)
                if decision is None:
                    decision = await self._gate.check(text, facts, operation.cost)
                self._judge(context, decision, scope, headers)
            handler = self._handlers.get(operation.id)
            if handler is None:
                forward = _Forward(send, headers)
                await self._app(scope, receive, forward)
                return
            answer = handler(context, scope, receive)
            if not isinstance(answer, tuple):
                answer = await answer
        except ClientDisconnectedError:
            return
        except Exception as error:
            if forward is not None and forward.started:
                # Half an answer cannot be taken back. The server drops the connection, so that the client sees a
                # broken answer, not one that looks whole.
                raise
            answer = _error_answer(error, request_id)
        status, own_headers, body = answer
        own_headers += headers
        own_headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": own_headers})
        await send({"type": "http.response.body", "body": body})

    async def _serve_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            # None is served here: the handshake is refused.
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        # What else a later server may bring is refused by silence.

    def _context(self, scope: Scope, request_id: str) -> Context:
        """Who asks for what. Raises DomainError where no single credential was sent, or to a host that is not ours."""
        raw_headers = scope["headers"]
        if self._allowed_hosts is not None:
            _refuse_foreign_host(raw_headers, self._allowed_hosts)
        operation, key_id = self._operations.find(scope["method"], scope["path"])
        if operation is UNMATCHED.operation and self._operations.is_public(scope["path"]):
            raise answers.unmatched(self._operations.methods(scope["path"]))
        client = scope.get("client")
        client_ip = client[0] if client else None
        if self._client_address.trusts_somebody:
            client_ip = self._client_address(client_ip, raw_headers)
        context = Context(request_id, operation, client_ip)
        if not operation.public:
            credential = presented(raw_headers)
            if not isinstance(credential, Presented):
                raise answers.refused(credential)
            context.credential_text = credential.text
            context.facts = Facts(operation, key_id, credential.tenant_id, client_ip)
        scope[CONTEXT] = context
        return context

    def _judge(self, context: Context, decision: Decision, scope: Scope, headers: Headers) -> None:
        """Write the limits into the headers. Raises DomainError where the request is refused."""
        context.decision = decision
        limits, taken = decision.limits, decision.taken
        if limits is not None and taken is not None:
            context.limit_state = numbers(taken)
            headers += limit_headers(limits, taken, context.limit_state)
        if decision.refusal is not None:
            raise answers.refused(decision.refusal, decision)
        if context.operation is UNMATCHED.operation:
            raise answers.unmatched(self._operations.methods(scope["path"]))


class _Forward:
    """``send`` with headers added to the answer; where the app sets one itself, the app's stays."""

    def __init__(self, send: Send, headers: Headers) -> None:
        self._send = send
        self._headers = headers
        self.started = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            own = list(message.get("headers", ()))
            names = {name for name, _ in own}
            message = {**message, "headers": [*own, *(header for header in self._headers if header[0] not in names)]}
        await self._send(message)


def _error_answer(error: Exception, request_id: str) -> Answer:
    if isinstance(error, DomainError):
        if error.log is not None:
            logger.warning("%s", error.log, extra={"request_id": request_id})
        return answers.problem(error, request_id)
    logger.error("a request failed", exc_info=error, extra={"request_id": request_id})
    return answers.problem(answers.internal_error(), request_id)


def _refuse_foreign_host(raw_headers: RawHeaders, allowed_hosts: frozenset[bytes]) -> None:
    # A page of another site that points its own name at 127.0.0.1 (DNS rebinding) must get no answer.
    hosts = [value for name, value in raw_headers if name == b"host"]
    if len(hosts) != 1 or _host_name(hosts[0]) not in allowed_hosts:
        raise DomainError(Code.BAD_REQUEST, "This server answers only to loopback host names.")


def _host_name(host: bytes) -> bytes:
    """The name in a Host header, without its port."""
    return _PORT.sub(b"", host).lower()
