"""Cross-origin requests (CORS, the Fetch standard): off unless origins are configured, and then only those.

Credentials are headers that a page sets itself, never cookies, so ``Access-Control-Allow-Credentials`` is never
sent, and neither is the wildcard. (ASVS 3.4.2)
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

from aitbc_server.gate.answers import Answer
from aitbc_server.gate.asgi import App, Around, Receive, Reply, Scope, Send
from aitbc_server.gate.headers import Headers, security_headers

_METHODS = b"GET, POST, PATCH, DELETE"
_REQUEST_HEADERS = b"authorization, content-type, idempotency-key, x-api-key, x-tenant-id"
_RESPONSE_HEADERS = (
    b"ratelimit, ratelimit-policy, retry-after, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, "
    b"x-request-id"
)
# How long a browser may remember the answer to a preflight.
_MAX_AGE_S = 600

_VARY = (b"vary", b"Origin")


class Cors(Around):
    """ASGI middleware in front of the gate, for pages of ``origins`` (``https://app.example.com``)."""

    def __init__(self, app: App, origins: Iterable[str], *, https: bool = False) -> None:
        """``https``: browsers are told to come by HTTPS only."""
        super().__init__(app)
        self._always = security_headers(https=https)
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = self._allowed_origin(scope)
        if origin is not None and _is_preflight(scope):
            await _answer_preflight(send, origin, self._always)
            return
        # Caches must not give one origin's answer to another, so the other origins' answers vary too.
        headers: Headers = [_VARY]
        if origin is not None:
            headers.append((b"access-control-allow-origin", origin))
            headers.append((b"access-control-expose-headers", _RESPONSE_HEADERS))

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *headers]}
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def answer_early(self, scope: Scope, reply: Reply) -> None:
        """See ``AnswersEarly``: what the app has for requests that no browser makes for a page of another origin."""
        if self._early is None or any(name == b"origin" for name, _ in scope["headers"]):
            reply(None)
            return

        def vary(answer: Answer | None) -> None:
            if answer is not None:
                answer[1].append(_VARY)
            reply(answer)

        self._early.answer_early(scope, vary)

    def _allowed_origin(self, scope: Scope) -> bytes | None:
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        return origins[0] if len(origins) == 1 and origins[0] in self._origins else None


def _is_preflight(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" and any(
        name == b"access-control-request-method" for name, _ in scope["headers"]
    )


async def _answer_preflight(send: Send, origin: bytes, always: Headers) -> None:
    """Answered without a key: the browser sends none along. It says nothing but what is written above."""
    headers: Headers = [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", _REQUEST_HEADERS),
        (b"access-control-max-age", b"%d" % _MAX_AGE_S),
        _VARY,
        *always,
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
