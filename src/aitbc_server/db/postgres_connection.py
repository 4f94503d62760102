"""A connection to PostgreSQL that nobody waits on for ever, whatever became of the server.

The server's own timeouts end nothing where the server hangs, or where its host is gone without a word: the kernel then
takes what is sent, and there is never an answer. What else bounds a statement is the driver's ``command_timeout``.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import asyncpg  # type: ignore[import-untyped]

#: To begin a transaction or to give one up waits for no lock and no disk: a server that has not done it by then hangs.
#: So does a pooler in front of it that has no connection left.
ALIVE_S = 3.0
# A server that is there closes at once; one that is not would be waited for.
_CLOSE_S = 0.25
_AT_ONCE = ("BEGIN", "ROLLBACK")


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """Asyncpg's, less patient."""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 -- asyncpg's
        """See asyncpg. Raises TimeoutError where a transaction cannot even be begun."""
        if timeout is None and query.startswith(_AT_ONCE):
            timeout = ALIVE_S
        status: str = await super().execute(query, *args, timeout=timeout)
        return status

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- asyncpg's
        """Close in good order, or without where that takes long."""
        with suppress(TimeoutError):
            await super().close(timeout=_CLOSE_S if timeout is None else min(timeout, _CLOSE_S))
