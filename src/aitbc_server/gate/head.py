"""HEAD wherever GET works: the same status and headers, and no body (RFC 9110, 9.3.2).

A HEAD is a GET for everything behind this: permissions, limits, counts and routes know one operation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def as_get(scope: MutableMapping[str, Any], send: Send) -> tuple[Receive, Send]:
    """Turn the request into a GET without a body; returns what its answer is to be given to."""
    scope["method"] = "GET"
    answer = _HeadersAlone(send)
    return answer.receive, answer.send


class _HeadersAlone:
    """The client's side of a request: it takes the head of an answer, and is gone then."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_asked = False
        self._over = asyncio.Event()

    async def receive(self) -> Message:
        """The empty body; then, when there is an answer, the end. An endless stream ends by it."""
        if not self._is_asked:
            self._is_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Pass on the head: its Content-Length, if it has one, is what the body's would be."""
        if message["type"] == "http.response.start":
            await self._send(message)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            self._over.set()
