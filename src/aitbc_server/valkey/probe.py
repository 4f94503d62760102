"""Finding out that a server which hung answers again."""

from __future__ import annotations

import asyncio

from aitbc_server.valkey.connection import Connection, ConnectionLostError, RefusedError

PROBE_INTERVAL_S = 0.1
# A server that hangs longer may never answer on this connection: another one is tried.
_GIVE_UP_AFTER_S = 5.0


async def until_it_answers(connection: Connection, *, timeout_s: float) -> bool:
    """Ask again and again; True once an answer came in time, False where the connection was lost or given up."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while loop.time() - began_s < _GIVE_UP_AFTER_S:
        asked = connection.call("PING")
        done, _ = await asyncio.wait({asked}, timeout=timeout_s)
        if done:
            error = asked.exception()
            if isinstance(error, ConnectionLostError):
                return False
            return error is None or isinstance(error, RefusedError)
        await asyncio.sleep(PROBE_INTERVAL_S)
    connection.close()
    return False
