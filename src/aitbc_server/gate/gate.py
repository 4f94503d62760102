"""The gate: a request's credential in, a decision out."""

from __future__ import annotations

import logging
from typing import Protocol

import msgspec

from aitbc_server.clock import Clock
from aitbc_server.errors import Code
from aitbc_server.gate import decision
from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.decision import Facts, Refusal
from aitbc_server.gate.guesses import GuessLimiter
from aitbc_server.gate.records import Credential, LimitSet, TenantRecord, limit_set
from aitbc_server.gate.store import ALLOWED, Store, StoreUnavailableError, Taken

logger = logging.getLogger(__name__)

# One text for all three: who guesses must not learn which part was wrong.
INVALID = Refusal(Code.INVALID_API_KEY, "This API key is not valid. Check that it was copied whole.")
MISSING = Refusal(Code.MISSING_API_KEY, "No API key was sent. Send it in the X-API-Key header.")
TOO_MANY_FAILURES = Refusal(
    Code.TOO_MANY_FAILURES,
    "Too many wrong API keys came from this address. Wait a second, then try the right one.",
)
UNAVAILABLE = Refusal(Code.UNAVAILABLE, "The API key cannot be checked at the moment. Try again shortly.")


class CredentialSource(Protocol):
    """Whoever can tell a right secret from a wrong one."""

    async def load(self, text: bytes) -> Credential | None:
        """The credential for the bytes that were sent; None where it is unknown, malformed or has a wrong secret.

        Raises SourceUnavailableError where that cannot be told.
        """
        ...


class SourceUnavailableError(Exception):
    """The database did not answer."""


class UseRecorder(Protocol):
    """Whoever keeps ``last_used_at`` and the address."""

    def used(self, credential: Credential, now_us: int, client_ip: str | None) -> None:
        """A right secret was presented."""
        ...


class Decision(msgspec.Struct, frozen=True):
    """Allow (``refusal`` is None) or one reason why not.

    ``credential``, ``tenant``, ``limits`` and ``taken`` are None where no right secret was presented.
    """

    refusal: Refusal | None
    credential: Credential | None = None
    tenant: TenantRecord | None = None
    limits: LimitSet | None = None
    taken: Taken | None = None
    cost: int = 0


class Gate:
    """Decides on requests. Everything that it needs is passed in; nothing here speaks HTTP."""

    def __init__(
        self,
        *,
        source: CredentialSource,
        store: Store,
        cache: CredentialCache,
        guesses: GuessLimiter,
        recorder: UseRecorder,
        clock: Clock,
    ) -> None:
        self._source = source
        self._store = store
        self._cache = cache
        self._guesses = guesses
        self._recorder = recorder
        self._clock = clock
        self.unknown_keys = 0

    async def check(self, text: bytes, facts: Facts, cost: int) -> Decision:
        """The decision on a request that presents ``text``; takes ``cost`` from the limits when allowed."""
        try:
            credential = await self.find(text, facts.client_ip)
            if isinstance(credential, Refusal):
                return Decision(credential)
            return await self.decide(credential, facts, cost)
        except (SourceUnavailableError, StoreUnavailableError) as error:
            logger.error("a key could not be checked: %s", error)
            return Decision(UNAVAILABLE)

    async def find(self, text: bytes, client_ip: str | None) -> Credential | Refusal:
        """The credential for what was sent, or why there is none. Failures count against the address."""
        digest = self._cache.digest(text)
        credential = self._cache.get(digest)
        if credential is not None:
            return credential
        if not self._cache.was_good(digest) and not self._guesses.admit(client_ip, self._clock()):
            return TOO_MANY_FAILURES
        credential = await self._load(text, digest)
        if credential is None:
            self.unknown_keys += 1
            self._guesses.failed(client_ip, self._clock())
            return INVALID
        return credential

    async def decide(self, credential: Credential, facts: Facts, cost: int) -> Decision:
        """The decision on a right credential: one call to the store takes the limits and counts."""
        now_us = self._clock()
        record = credential.record
        refusal = decision.refusal(credential, facts, now_us)
        tenant = decision.acting_tenant(credential, facts.tenant_id) or record.tenant
        if tenant is record.tenant:
            limits, usage_id = record.limit_set, record.usage_id
        else:
            limits = limit_set(tenant, record.kid, record.limit_per_minute)
            usage_id = (tenant.id, record.environment, record.kid)
        if refusal is not None:
            taken = await self._store.take(tenant.id, limits, 0, usage_id, facts.operation.id, refusal.code)
            return Decision(refusal, credential, tenant, limits, taken)
        self._recorder.used(credential, now_us, facts.client_ip)
        taken = await self._store.take(tenant.id, limits, cost, usage_id, facts.operation.id, ALLOWED)
        if not taken.allowed:
            refusal = _rate_limited(taken)
        return Decision(refusal, credential, tenant, limits, taken, cost)

    async def recheck(self, text: bytes, facts: Facts) -> Refusal | None:
        """Whether a request that waited would still pass now; takes and counts nothing."""
        try:
            credential = self._cache.get(self._cache.digest(text)) or await self._load(text, self._cache.digest(text))
        except SourceUnavailableError:
            return UNAVAILABLE
        return INVALID if credential is None else decision.refusal(credential, facts, self._clock())

    async def _load(self, text: bytes, digest: bytes) -> Credential | None:
        ticket = self._cache.begin_load()
        try:
            credential = await self._source.load(text)
            if credential is not None:
                self._cache.put(digest, credential, ticket)
            return credential
        finally:
            self._cache.end_load()


def _rate_limited(taken: Taken) -> Refusal:
    return Refusal(
        Code.RATE_LIMIT_EXCEEDED,
        f"The rate limit is used up. Retry in {retry_after_s(taken)} s, or ask for a larger plan.",
    )


def retry_after_s(taken: Taken) -> int:
    """Whole seconds after which the request is let in: rounded up, so that who waits that long is not early."""
    return max(1, -(-taken.retry_after_us // 1_000_000))
