"""Loading credentials that are not cached, each of them once at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.credential import Credential


class CredentialSource(Protocol):
    """Whoever can tell a right secret from a wrong one."""

    def may_exist(self, text: bytes) -> bool:
        """False where ``text`` cannot be a key whatever the database holds: then nobody needs to look."""
        ...

    async def load(self, text: bytes) -> Credential | None:
        """The credential for the bytes that were sent; None where it is unknown, malformed or has a wrong secret.

        Raises SourceUnavailableError where that cannot be told.
        """
        ...


class ManySource(Protocol):
    """A source that can be asked for many at once."""

    async def load_all(self, texts: Sequence[bytes]) -> list[Credential | None]:
        """As ``CredentialSource.load``, in the order of ``texts``. Raises SourceUnavailableError."""
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


class TurnLoads:
    """Reads what waits anew, all of it in one query; what comes while that runs waits for the next one.

    Nothing is kept: whoever asks gets what the database has after they asked.
    """

    def __init__(self, source: ManySource) -> None:
        self._source = source
        self._waiting: list[tuple[bytes, asyncio.Future[Credential | None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def load(self, text: bytes) -> Credential | None:
        """What the source says of ``text`` now. Raises SourceUnavailableError."""
        future: asyncio.Future[Credential | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((text, future))
        if self._task is None:
            # A task begins in the next turn: everybody of this one is in the list by then.
            self._task = asyncio.create_task(self._run(), name="reading keys anew")
        return await future

    async def _run(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                found = await self._source.load_all(list(dict.fromkeys(text for text, _ in waiting)))
            except Exception as error:
                _fail(waiting, error)
                continue
            by_text = dict(zip(dict.fromkeys(text for text, _ in waiting), found, strict=True))
            for text, future in waiting:
                if not future.done():
                    future.set_result(by_text[text])
        self._task = None


def _fail(waiting: list[tuple[bytes, asyncio.Future[Credential | None]]], error: Exception) -> None:
    for _, future in waiting:
        if not future.done():
            future.set_exception(error)
