"""The HTTP server of `aitbc serve` around another app: the same socket, the same options, the same event loop."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Awaitable, Callable

import uvloop

from aitbc_server.gate.asgi import App
from aitbc_server.serving.lifespan import Lifespan
from aitbc_server.serving.listener import Listener, bind


def run(make_app: Callable[[], Awaitable[App]], port: int) -> None:
    """Serve what ``make_app`` makes until SIGTERM."""
    uvloop.run(_serve(make_app, port))


async def _serve(make_app: Callable[[], Awaitable[App]], port: int) -> None:
    app = await make_app()
    lifespan = Lifespan(app)
    listener = Listener(app, bind("127.0.0.1", port))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, listener.stop)
    await lifespan.start()
    await listener.serve()
    await lifespan.stop()


def arguments(description: str, *names: str) -> argparse.Namespace:
    """``--port`` and the further options ``names``, all required."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True)
    for name in names:
        parser.add_argument(name, required=True)
    return parser.parse_args()
