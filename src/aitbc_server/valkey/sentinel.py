"""Sentinels: they watch over a master and its replicas, and know which of them is the master now."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from aitbc_server.valkey.connection import Address, Connection, ConnectionLostError, RefusedError, connect
from aitbc_server.valkey.urls import Target

#: So often they are asked whether the master is still the one.
RECHECK_S = 0.25

_ASKS_FOR_NONE = "without any password configured"


class _Word(NamedTuple):
    """What one sentinel says. ``epoch`` counts the failovers that it knows of."""

    epoch: int
    host: str
    port: int


class Sentinels:
    """All sentinels that a URL names, on a connection to each that is opened when it is needed."""

    def __init__(self, target: Target, *, timeout_s: float) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._connections: dict[Address, Connection] = {}

    async def master(self) -> Address:
        """The master's address, as the sentinel says that knows of the latest failover.

        Raises ConnectionLostError where none of them knows any.
        """
        said = await asyncio.gather(*(self._ask(each) for each in self._target.seeds), return_exceptions=True)
        words = [each for each in said if isinstance(each, _Word)]
        if not words:
            reasons = {str(each) or type(each).__name__: None for each in said}
            raise ConnectionLostError(f"no sentinel knows a master named {self._target.name}: {'; '.join(reasons)}")
        newest = max(words, key=lambda word: word.epoch)
        return self._target.server._replace(host=newest.host, port=newest.port)

    def close(self) -> None:
        """Leave them."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    async def _ask(self, sentinel: Address) -> _Word:
        connection = self._connections.get(sentinel)
        if connection is None or connection.lost.done():
            connection = self._connections[sentinel] = await self._connect(sentinel)
        name = self._target.name
        asked = (
            connection.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name),
            connection.call("SENTINEL", "MASTER", name),
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                where, facts = await asyncio.gather(*asked)
        except TimeoutError:
            # It may hang for long: the next question begins with a new connection.
            connection.close()
            raise
        pairs = iter(facts)
        epoch = int(dict(zip(pairs, pairs, strict=True)).get(b"config-epoch", 0))
        return _Word(epoch, where[0].decode(), int(where[1]))

    async def _connect(self, sentinel: Address) -> Connection:
        try:
            return await connect(sentinel, timeout_s=self._timeout_s)
        except RefusedError as error:
            if _ASKS_FOR_NONE not in str(error):
                raise
        # The servers have a password and the sentinels have none, as is usual.
        return await connect(sentinel._replace(username=None, password=None), timeout_s=self._timeout_s)
