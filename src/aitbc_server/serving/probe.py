"""Asking a server over its own socket whether it is ready."""

from __future__ import annotations

import asyncio

_LOOK_EVERY_S = 0.02
_TIMEOUT_S = 2.0
_REQUEST = b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def until_ready(host: str, port: int) -> None:
    """Return once ``/health/ready`` answers 200."""
    while not await is_ready(reachable_host(host), port):  # noqa: ASYNC110 - the other end rings no bell
        await asyncio.sleep(_LOOK_EVERY_S)


def reachable_host(host: str) -> str:
    """Under which address a server that listens on ``host`` is reached from its own machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


async def is_ready(host: str, port: int) -> bool:
    """Whether the server there answers that it is ready."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(_REQUEST)
                return (await reader.readline()).split()[1:2] == [b"200"]
            finally:
                writer.close()
    except OSError:
        return False
