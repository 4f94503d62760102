"""Lua scripts: called by their digest, loaded where the server does not know them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from aitbc_server.valkey.connection import Argument, Connection, RefusedError


class Script:
    """One script: texts that follow one another."""

    def __init__(self, *texts: str) -> None:
        self.text = "".join(texts)
        # The name under which the server knows it, not a digest that anything rests on.
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def call(self, connection: Connection, keys: Sequence[str], *arguments: Argument) -> asyncio.Future[Any]:
        """Call it; where the server has forgotten the script (SCRIPT FLUSH, restart), the answer is NOSCRIPT."""
        return connection.call("EVALSHA", self.sha, len(keys), *keys, *arguments)

    async def run(self, connection: Connection, keys: Sequence[str], *arguments: Argument) -> Any:
        """Call it, and once more with its text where the server has forgotten it. Raises as ``Connection.call``."""
        try:
            return await self.call(connection, keys, *arguments)
        except RefusedError as error:
            if not is_forgotten(error):
                raise
            return await connection.call("EVAL", self.text, len(keys), *keys, *arguments)

    async def load(self, connection: Connection) -> None:
        """Make the server know it. Raises RefusedError for a text that is no Lua."""
        await connection.call("SCRIPT", "LOAD", self.text)


def is_forgotten(error: BaseException | None) -> bool:
    """Whether a call failed only because the server does not know the script."""
    return isinstance(error, RefusedError) and error.kind == "NOSCRIPT"
