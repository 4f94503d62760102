"""Loading credentials that are not cached, each of them once at a time."""

from __future__ import annotations

import asyncio
from typing import Protocol

from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.records import Credential


class CredentialSource(Protocol):
    """Whoever can tell a right secret from a wrong one."""

    async def load(self, text: bytes) -> Credential | None:
        """The credential for the bytes that were sent; None where it is unknown, malformed or has a wrong secret.

        Raises SourceUnavailableError where that cannot be told.
        """
        ...


class SourceUnavailableError(Exception):
    """The database did not answer."""


class Loads:
    """Loads credentials into the cache. Requests that wait for the same one share a single query.

    A load serves only those who came while nothing had been dropped since it began: whoever comes after a drop
    might otherwise get what was true before it. (ASVS 8.3.2)
    """

    def __init__(self, source: CredentialSource, cache: CredentialCache) -> None:
        self._source = source
        self._cache = cache
        self._running: dict[bytes, tuple[int, asyncio.Task[Credential | None]]] = {}

    async def load(self, text: bytes, digest: bytes) -> Credential | None:
        """What the source says of ``text``; a right credential is cached. Raises SourceUnavailableError."""
        drops, task = self._running.get(digest, (-1, None))
        if task is None or drops != self._cache.drops:
            task = asyncio.create_task(self._load(text, digest))
            self._running[digest] = self._cache.drops, task
            task.add_done_callback(lambda done: self._ended(digest, done))
        # Whoever gives up waiting must not take the query away from the others.
        return await asyncio.shield(task)

    async def _load(self, text: bytes, digest: bytes) -> Credential | None:
        ticket = self._cache.begin_load()
        try:
            credential = await self._source.load(text)
            if credential is not None:
                self._cache.put(digest, credential, ticket)
            return credential
        finally:
            self._cache.end_load()

    def _ended(self, digest: bytes, task: asyncio.Task[Credential | None]) -> None:
        if self._running.get(digest, (0, None))[1] is task:
            del self._running[digest]
        if not task.cancelled():
            # An error that nobody waits for any more has been seen.
            task.exception()
