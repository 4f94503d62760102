"""What a fleet's nodes ask of the store that they share, whether it is one server or a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from aitbc_server.gate.limiter import Verdict
from aitbc_server.gate.records import LimitSet, UsageId

if TYPE_CHECKING:
    from aitbc_server.gate.batch import Tell
    from aitbc_server.gate.store import Taken


class Question(msgspec.Struct, frozen=True, gc=False):
    """What the store decides and counts for one request, as ``Store.take`` says.

    ``fences`` are the tokens that the request's record rests on. ``cost`` below 0: what would become of a request for
    so much is answered, and nothing is taken. ``usage_id`` None: nothing is counted.
    """

    tenant_id: str
    limit_set: LimitSet
    cost: int
    usage_id: UsageId | None
    operation: str
    outcome: str
    fences: Mapping[str, str]


class Stale(NamedTuple):
    """The answer where a fence was not as expected: nothing was taken or counted. ``tokens`` by tenant: the store's.

    Without any it was not asked, because the question rests on what is not believed any more.
    """

    tokens: Mapping[str, str]


class Counts(NamedTuple):
    """How often what was decided in one minute, by one run of the store: cumulative, (field, count) each."""

    minute_us: int
    run: str
    fields: dict[str, int]


class SharedLimits(Protocol):
    """Every method raises StoreUnavailableError: at once, or 0.25 s later."""

    @property
    def touched(self) -> dict[str, None]:
        """Tenants whose counts are not drained."""
        ...

    @property
    def timeout_s(self) -> float:
        """So long an answer is waited for."""
        ...

    def ask(self, tell: Tell, question: Question) -> bool:
        """As ``take``, for whoever awaits nothing: ``tell`` is called in a later turn of the event loop.

        False: nothing was asked, and nothing will be told; only ``take`` can tell. Does not raise.
        """
        ...

    async def take(self, question: Question, *, until_s: float | None = None) -> Taken | Stale:
        """See ``ValkeyStore.take``."""
        ...

    async def look(self, tenant_id: str, limit_set: LimitSet) -> tuple[Verdict, ...]:
        """See ``Store.look``."""
        ...

    async def raise_fences(self, tenant_ids: Iterable[str]) -> bool:
        """See ``ValkeyStore.raise_fences``."""
        ...

    async def drain(self, tenants: Mapping[str, Iterable[Counts]]) -> dict[str, list[Counts]]:
        """See ``ValkeyStore.drain``; the tenants may be of any slots."""
        ...

    def tenants(self) -> AsyncIterator[list[str]]:
        """See ``ValkeyStore.tenants``; of all servers."""
        ...
