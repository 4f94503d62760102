"""A bare ASGI answer: what the HTTP server itself can do. ``python -m bench.servers.bare --port N``.

It runs on the listener of ``aitbc serve``: the same Granian with the same options, on the same event loop.
"""

from __future__ import annotations

import argparse
import asyncio
import signal

import uvloop

from aitbc_server.gate.asgi import Receive, Scope, Send
from aitbc_server.serving.listener import Listener, bind

_BODY = b'{"ok":true}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request with the same small JSON object."""
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


async def serve(port: int) -> None:
    """Serve until SIGTERM."""
    with bind("127.0.0.1", port) as listening:
        listener = Listener(bare, listening)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, listener.stop)
        await listener.serve()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
