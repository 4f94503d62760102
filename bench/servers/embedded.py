"""The HTTP server of all our systems under test: Granian embedded, with the options of `aitbc serve`."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server


def run(start: Callable[[], Awaitable[Any]], port: int) -> None:
    """Serve what ``start`` makes until SIGTERM."""
    uvloop.run(_serve(start, port))


async def _serve(start: Callable[[], Awaitable[Any]], port: int) -> None:
    server = Server(
        await start(),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve()


def arguments(description: str, *names: str) -> argparse.Namespace:
    """``--port`` and the further options ``names``, all required."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True)
    for name in names:
        parser.add_argument(name, required=True)
    return parser.parse_args()
