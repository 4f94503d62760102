"""A bare ASGI answer: what the HTTP server itself can do. ``python -m bench.servers.bare --port N``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bench.servers.embedded import arguments, run

_BODY = b'{"ok":true}'
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))],
}
_END = {"type": "http.response.body", "body": _BODY}


async def bare(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Answer every request with the same small JSON object."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    await send(_START)
    await send(_END)


async def _lifespan(receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _start() -> Any:
    return bare


if __name__ == "__main__":
    run(
        _start,
        arguments(
            __doc__ or "",
        ).port,
    )
