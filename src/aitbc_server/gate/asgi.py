"""The gate as ASGI middleware: in front of any app, every route needs a key unless its operation says otherwise."""

from __future__ import annotations

import itertools
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from functools import partial
from typing import Any, Protocol, runtime_checkable

from aitbc_server.errors import Code, DomainError
from aitbc_server.gate import answers
from aitbc_server.gate.answers import Answer
from aitbc_server.gate.context import CONTEXT, Context
from aitbc_server.gate.decision import Facts
from aitbc_server.gate.gate import MISSING, Decision, Gate
from aitbc_server.gate.head import as_get
from aitbc_server.gate.headers import LIMIT_HEADERS, Headers, limit_headers, numbers, security_headers
from aitbc_server.gate.operations import UNMATCHED, Audience, Operations
from aitbc_server.gate.records import Header
from aitbc_server.gate.refusals import RefusalLog
from aitbc_server.gate.request import ClientAddress, Presented, RawHeaders, presented

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]

#: Takes the whole answer to a request; None: the app is to be called with the same scope. Does not raise.
Reply = Callable[[Answer | None], None]

# Members of an enumeration or a tuple are looked up slowly, and these are compared for every request.
_KEY = Audience.KEY
_UNMATCHED = UNMATCHED.operation

# Those of our headers that an app may set itself.
_OURS = frozenset(name for name, _ in security_headers(https=True)) | {b"x-request-id", *LIMIT_HEADERS}

_POLICY_VIOLATION = 1008
_PORT = re.compile(rb":[0-9]*\Z")


class Handler(Protocol):
    """A plain ASGI answer to one operation, in front of the framework; at once, or to be awaited."""

    def __call__(self, context: Context, scope: Scope, receive: Receive) -> Answer | Awaitable[Answer]:
        """The status, headers and body. May raise DomainError."""
        ...


@runtime_checkable
class ImmediateHandler(Handler, Protocol):
    """A handler that waits for nothing, and needs nothing but the context where the request has no query."""

    def answer(self, context: Context) -> Answer:
        """See ``Handler``. May be called on any thread."""
        ...


@runtime_checkable
class AnswersEarly(Protocol):
    """An ASGI app that has some answers without a coroutine."""

    @property
    def is_early_anywhere(self) -> bool:
        """Whether it may be asked on any thread, and replies at once; else on the event loop's, and maybe later."""
        ...

    def answer_early(self, scope: Scope, reply: Reply) -> None:
        """Reply to an HTTP request (of no other type), once. Does not raise."""
        ...


class Around:
    """What middleware around an ``app`` has in common: it is early where the app is."""

    def __init__(self, app: App) -> None:
        self._app = app
        inner: object = app
        self._early = inner if isinstance(inner, AnswersEarly) else None

    @property
    def is_early_anywhere(self) -> bool:
        """See ``AnswersEarly``."""
        return self._early is None or self._early.is_early_anywhere


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
        refusals: RefusalLog,
        allowed_hosts: frozenset[bytes] | None = None,
        https: bool = False,
    ) -> None:
        """``https``: browsers are told to come by HTTPS only."""
        self._app = app
        self._gate = gate
        self._operations = operations
        self._handlers = handlers
        self._immediate = {
            (route.method, route.path): handler
            for route in operations.routes
            if isinstance(handler := handlers.get(route.operation.id), ImmediateHandler)
        }
        self._client_address = client_address
        self._refusals = refusals
        self._allowed_hosts = allowed_hosts
        self._always = security_headers(https=https)
        # Unique over restarts and nodes by the random part, in order within a process by the counter.
        self._request_ids = map(f"req_{secrets.token_hex(6)}%08x".__mod__, itertools.count(1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._serve_other(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            receive, send = as_get(scope, send)
        # There is one already where ``answer_early`` began with this request.
        begun: Context | None = scope.get(CONTEXT)
        request_id = next(self._request_ids) if begun is None else begun.request_id
        headers: Headers = [(b"x-request-id", request_id.encode()), *self._always]
        forward = None
        try:
            context = self._context(scope, request_id) if begun is None else _without_error(begun)
            operation, facts = context.operation, context.facts
            if facts is not None and context.decision is None:
                text = context.credential_text
                # At once where that can be, which is half the work of a coroutine.
                decision = self._gate.check_cached(text, facts, operation.cost)
                context.decision = decision or await self._gate.check(text, facts, operation.cost)
            self._judge(context, scope, headers)
            handler = self._handlers.get(operation.id)
            if handler is None:
                forward = _Forward(send, headers)
                await self._app(scope, receive, forward)
                return
            answer = handler(context, scope, receive)
            if not isinstance(answer, tuple):
                answer = await answer
            if operation is _UNMATCHED:
                # A page has stricter and laxer headers than the API's answers: its own stay.
                headers = _beside(headers, answer[1])
        except Exception as error:
            if forward is not None and forward.started:
                # Half an answer cannot be taken back. The server drops the connection, so that the client sees a
                # broken answer, not one that looks whole.
                raise
            answer = _error_answer(error, request_id)
        status, all_headers, body = _whole(answer, headers)
        await send({"type": "http.response.start", "status": status, "headers": all_headers})
        await send({"type": "http.response.body", "body": body})

    @property
    def is_early_anywhere(self) -> bool:
        """See ``AnswersEarly``."""
        return self._gate.is_early_anywhere

    def answer_early(self, scope: Scope, reply: Reply) -> None:
        """See ``AnswersEarly``: what an immediate handler has for a key that is cached and within its limits.

        Everything else is answered by ``__call__``, which finds in the scope what was decided here.
        """
        handler = self._immediate.get((scope["method"], scope["path"]))
        if handler is None or scope["query_string"]:
            reply(None)
            return
        try:
            context = self._context(scope, next(self._request_ids))
            if context.facts is None:
                reply(None)
                return
            decided = partial(self._reply, scope, context, handler, reply)
            self._gate.check_early(context.credential_text, context.facts, context.operation.cost, decided)
        except Exception:
            # It comes again in ``__call__``, where errors are answered and written down.
            reply(None)

    def _reply(
        self,
        scope: Scope,
        context: Context,
        handler: ImmediateHandler,
        reply: Reply,
        decision: Decision | Exception | None,
    ) -> None:
        answer = None
        if isinstance(decision, Exception):
            context.error = decision
            reply(None)
            return
        context.decision = decision
        # Seen by tests/serving/test_early.py on the server's own threads, which coverage cannot trace.
        if decision is not None and decision.refusal is None:  # pragma: no branch
            headers: Headers = [(b"x-request-id", context.request_id.encode()), *self._always]
            try:
                self._judge(context, scope, headers)
                answer = _whole(handler.answer(context), headers)
            except Exception:
                # It comes again in ``__call__``.
                answer = None
        reply(answer)

    async def _serve_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            # None is served here: the handshake is refused.
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        # What else a later server may bring is refused by silence.

    def _context(self, scope: Scope, request_id: str) -> Context:
        """Who asks for what. Raises DomainError for a host that is not ours, and for what is there but not so."""
        raw_headers = scope["headers"]
        if self._allowed_hosts is not None:
            _refuse_foreign_host(raw_headers, self._allowed_hosts)
        operation, key_id = self._operations.find(scope["method"], scope["path"])
        lost_browser = operation is _UNMATCHED and self._is_lost_browser(scope)
        if operation is _UNMATCHED and not lost_browser and self._operations.is_public(scope["path"]):
            raise answers.unmatched(self._operations.methods(scope["path"]))
        client = scope.get("client")
        client_ip = client[0] if client else None
        if self._client_address.trusts_somebody:
            client_ip = self._client_address(client_ip, raw_headers)
        context = Context(request_id, operation, client_ip)
        if operation.audience is _KEY and not lost_browser:
            credential = presented(raw_headers)
            if isinstance(credential, Presented):
                context.credential_text = credential.text
                context.facts = Facts(operation, key_id, credential.tenant_id, client_ip)
            else:
                context.unpresented = credential
        scope[CONTEXT] = context
        return context

    def _is_lost_browser(self, scope: Scope) -> bool:
        """Whether somebody followed a link that leads nowhere: they are shown a page, where there is one for that.

        It says no more than the answer to a stranger, which is the same for every path that no route takes.
        """
        headers = scope["headers"]
        return (
            _UNMATCHED.id in self._handlers
            and scope["method"] == "GET"
            and any(name == b"accept" and b"text/html" in value for name, value in headers)
            and presented(headers) is MISSING
        )

    def _judge(self, context: Context, scope: Scope, headers: Headers) -> None:
        """Write the limits into the headers. Raises DomainError where the request is refused."""
        if context.unpresented is not None:
            self._refusals.note(context.unpresented.code, context)
            raise answers.refused(context.unpresented)
        decision = context.decision
        if decision is None:
            return
        limits, taken = decision.limits, decision.taken
        if limits is not None and taken is not None:
            context.limit_state = numbers(taken)
            headers += limit_headers(limits, taken, context.limit_state)
        if decision.refusal is not None:
            self._refusals.note(decision.refusal.code, context, decision)
            raise answers.refused(decision.refusal, decision)
        if context.operation is _UNMATCHED:
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
            message = {**message, "headers": own + _beside(self._headers, own)}
        await self._send(message)


def _without_error(begun: Context) -> Context:
    """The context of a request that was asked about early. Raises what came instead of a decision."""
    if begun.error is not None:
        raise begun.error
    return begun


def _whole(answer: Answer, headers: Headers) -> Answer:
    """An answer of ours with all the headers that it is sent with."""
    status, own, body = answer
    size = len(body)
    own += headers
    own.append(_LENGTHS[size] if size < len(_LENGTHS) else _length(size))
    return status, own, body


def _length(size: int) -> Header:
    return b"content-length", b"%d" % size


# Ready to be sent for nearly every answer of ours.
_LENGTHS = [_length(size) for size in range(4096)]


def _beside(headers: Headers, own: Headers) -> Headers:
    """Those of ``headers`` that an answer does not set itself."""
    names = {name for name, _ in own}
    if _OURS.isdisjoint(names):
        return headers
    return [header for header in headers if header[0] not in names]


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
