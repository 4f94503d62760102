"""What only monitoring wants to know of a node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from aitbc_server.gate.credential import Credential
from aitbc_server.gate.loads import CredentialSource, ManySource


class NodeNumbers:
    """Since the start, counted by the event loop's thread. There is none where nobody reads metrics.

    ``allowed``: requests that the shared store let through, by operation; others are in the ``UsageCounter``.
    ``alone``: decisions without the shared store; ``late``: those of them that it had counted all the same.
    ``keys_read``: keys that were looked for in the database. ``rows_drained``: counts brought from store to database.
    """

    __slots__ = ("allowed", "alone", "keys_read", "late", "rows_drained")

    def __init__(self) -> None:
        self.allowed: Counter[str] = Counter()
        self.alone = 0
        self.late = 0
        self.keys_read = 0
        self.rows_drained = 0


class Source(CredentialSource, ManySource, Protocol):
    """Asked for one or for many."""


class CountedSource:
    """A source of credentials that counts for how many it was asked."""

    def __init__(self, source: Source, numbers: NodeNumbers) -> None:
        self._source = source
        self._numbers = numbers

    def may_exist(self, text: bytes) -> bool:
        """See ``CredentialSource.may_exist``."""
        return self._source.may_exist(text)

    async def load(self, text: bytes) -> Credential | None:
        """See ``CredentialSource.load``."""
        self._numbers.keys_read += 1
        return await self._source.load(text)

    async def load_all(self, texts: Sequence[bytes]) -> list[Credential | None]:
        """See ``ManySource.load_all``."""
        self._numbers.keys_read += len(texts)
        return await self._source.load_all(texts)
