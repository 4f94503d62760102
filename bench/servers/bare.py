"""A bare ASGI answer: what the HTTP server itself can do. ``python -m bench.servers.bare --port N``."""

from __future__ import annotations

from aitbc_server.gate.asgi import App, Receive, Scope, Send
from bench.servers.embedded import arguments, run

_BODY = b'{"ok":true}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request with the same small JSON object."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


async def _lifespan(receive: Receive, send: Send) -> None:
    for _ in ("startup", "shutdown"):
        message = await receive()
        await send({"type": message["type"] + ".complete"})


async def _make_app() -> App:
    return bare


if __name__ == "__main__":
    run(_make_app, arguments(__doc__ or "").port)
