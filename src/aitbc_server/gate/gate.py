"""The gate: a request's credential in, a decision out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec

from aitbc_server.clock import Clock
from aitbc_server.errors import Code
from aitbc_server.gate import decision
from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.decision import Facts, Refusal
from aitbc_server.gate.guesses import Address, GuessLimiter
from aitbc_server.gate.loads import CredentialSource, Loads, SourceUnavailableError
from aitbc_server.gate.records import KeyRecord, LimitSet, TenantRecord, UsageId, limit_set
from aitbc_server.gate.store import ALLOWED, ImmediateStore, Store, StoreUnavailableError, Taken

logger = logging.getLogger(__name__)

# One text for all three: who guesses must not learn which part was wrong.
INVALID = Refusal(Code.INVALID_API_KEY, "This API key is not valid. Check that it was copied whole.")
MISSING = Refusal(Code.MISSING_API_KEY, "No API key was sent. Send it in the X-API-Key header.")
TOO_MANY_FAILURES = Refusal(
    Code.TOO_MANY_FAILURES,
    "Too many wrong API keys came from this address. Wait a second, then try the right one.",
)
UNAVAILABLE = Refusal(Code.UNAVAILABLE, "The API key cannot be checked at the moment. Try again shortly.")


class UseRecorder(Protocol):
    """Whoever keeps ``last_used_at`` and the address."""

    def used(self, credential: Credential, now_us: int, client_ip: str | None) -> None:
        """A right secret was presented, and the request was entitled to what it asked for."""
        ...

    def previous_refused(self, credential: Credential, now_us: int) -> None:
        """A previous secret in its grace period was presented, and the request was refused all the same."""
        ...


class MaySee(Protocol):
    """Whose keys whoever asks about a key may see."""

    def __call__(self, usage_id: UsageId) -> bool:
        """Whether a key of this tenant and environment is theirs to ask about."""
        ...


def _everything(usage_id: UsageId) -> bool:
    return True


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Allow (``refusal`` is None) or one reason why not.

    ``credential``, ``tenant``, ``limits`` and ``taken`` are None where no right secret was presented.
    """

    refusal: Refusal | None
    credential: Credential | None = None
    tenant: TenantRecord | None = None
    limits: LimitSet | None = None
    taken: Taken | None = None
    cost: int = 0


#: Takes a decision, or what came instead of one; None: ask ``Gate.check``. Does not raise.
Decided = Callable[[Decision | Exception | None], None]


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
        self._loads = Loads(source, cache)
        self._store = store
        self._now = store if isinstance(store, ImmediateStore) else None
        self._cache = cache
        self._guesses = guesses
        self._recorder = recorder
        self._clock = clock

    @property
    def is_early_anywhere(self) -> bool:
        """Whether ``check_early`` may be called on any thread, and has decided when it returns."""
        return self._now is not None

    @asynccontextmanager
    async def settling(self) -> AsyncIterator[None]:
        """All that was decided is counted when the block is left; here it is at once."""
        yield

    async def check(self, text: bytes, facts: Facts, cost: int) -> Decision:
        """The decision on a request that presents ``text``; takes ``cost`` from the limits when allowed."""
        decided = self.check_cached(text, facts, cost)
        if decided is not None:
            return decided
        try:
            # A connection without an address (a socket file) counts as one address of its own.
            credential = await self.find(text, facts.client_ip or "")
            if isinstance(credential, Refusal):
                return Decision(credential)
            return await self.decide(text, credential, facts, cost)
        except (SourceUnavailableError, StoreUnavailableError) as error:
            logger.error("a key could not be checked: %s", error)
            return Decision(UNAVAILABLE)

    def check_early(self, text: bytes, facts: Facts, cost: int, decided: Decided) -> None:
        """What ``check`` would say, without a coroutine, where nothing has to be loaded."""
        decided(self.check_cached(text, facts, cost))

    def check_cached(self, text: bytes, facts: Facts, cost: int) -> Decision | None:
        """What ``check`` would say, where nothing has to be waited for; None where something has.

        Nearly every request is of this kind: its key is cached and its limits are in this process's memory. Where
        nothing but the limits can change the decision, a credential that passed is asked only for these when it asks
        for the same operation again. May be called on any thread.
        """
        if self._now is None:
            return None
        credential = self._cache.get(self._cache.digest(text))
        if credential is None:
            return None
        now_us = self._clock()
        prepared = credential.prepared
        if (
            prepared is None
            or prepared.operation is not facts.operation
            or facts.tenant_id is not None
            or facts.key_id is not None
        ):
            return self._check_found(self._now, credential, facts, cost, now_us)
        self._recorder.used(credential, now_us, facts.client_ip)
        taken = prepared.take(now_us, cost)
        refusal = None if taken.allowed else rate_limited(taken, prepared.limits, cost)
        return Decision(refusal, credential, prepared.tenant, prepared.limits, taken, cost)

    def _check_found(
        self, store: ImmediateStore, credential: Credential, facts: Facts, cost: int, now_us: int
    ) -> Decision:
        refusal, tenant, limits, usage_id = self._before_limits(credential, facts, now_us)
        operation = facts.operation
        if refusal is None:
            taken = store.take_now(now_us, tenant.id, limits, cost, usage_id, operation.id, ALLOWED)
            if not taken.allowed:
                refusal = rate_limited(taken, limits, cost)
            elif facts.tenant_id is None and facts.key_id is None and decision.is_lasting(credential):
                credential.prepared = store.prepare(tenant, limits, usage_id, operation)
        else:
            taken = store.take_now(now_us, tenant.id, limits, 0, usage_id, operation.id, refusal.code)
        return Decision(refusal, credential, tenant, limits, taken, cost)

    async def find(
        self, text: bytes, client_ip: str, may_see: MaySee = _everything, said_by: str = ""
    ) -> Credential | Refusal:
        """The credential for what was sent, or why there is none; a failure counts against the address.

        ``said_by``: see ``GuessLimiter``.

        A key that the caller may not see is not there: it takes the same way, at the same pace and with the same
        work, as one that nobody ever made. Raises SourceUnavailableError.
        """
        digest = self._cache.digest(text)
        credential = self._cache.get(digest)
        if credential is not None and may_see(credential.record.usage_id):
            return credential
        owner = self._cache.expected(digest)
        if owner is not None and may_see(owner):
            # Known to be good, or made a moment ago: looked up at once, whatever else comes from this address.
            credential = await self._loads.load(text, digest)
            if credential is not None:
                return credential
            self._cache.forget(digest)
        if not self._source.may_exist(text):
            return INVALID if self._guesses.malformed(client_ip, self._clock(), said_by) else TOO_MANY_FAILURES
        address = await self._guesses.begin(client_ip, self._clock, said_by)
        if address is None:
            return TOO_MANY_FAILURES
        return await self._guess(text, digest, address, may_see) or INVALID

    async def _guess(self, text: bytes, digest: bytes, address: Address, may_see: MaySee) -> Credential | None:
        failed = False
        try:
            credential = await self._loads.load(text, digest)
            failed = credential is None or not may_see(credential.record.usage_id)
            return None if failed else credential
        finally:
            self._guesses.end(address, self._clock(), failed=failed)

    async def decide(self, text: bytes, credential: Credential, facts: Facts, cost: int) -> Decision:
        """The decision on a right credential, found for ``text``: one call to the store takes the limits and counts.

        Raises StoreUnavailableError.
        """
        refusal, tenant, limits, usage_id = self._before_limits(credential, facts, self._clock())
        operation = facts.operation.id
        if refusal is None:
            taken = await self._store.take(tenant.id, limits, cost, usage_id, operation, ALLOWED)
            if not taken.allowed:
                refusal = rate_limited(taken, limits, cost)
        else:
            taken = await self._store.take(tenant.id, limits, 0, usage_id, operation, refusal.code)
        return Decision(refusal, credential, tenant, limits, taken, cost)

    def most(self, credential: Credential, facts: Facts) -> int:
        """The most that one request may cost: the smallest of the limits that would apply to it."""
        acting = decision.acting_tenant(credential, facts.tenant_id)
        record = credential.record
        return (record.limit_set if acting is None else _limits_for(record, acting)).smallest

    async def recheck(self, text: bytes, facts: Facts) -> Refusal | None:
        """Whether a request that waited would still pass now; takes and counts nothing."""
        digest = self._cache.digest(text)
        try:
            credential = self._cache.get(digest) or await self._loads.load(text, digest)
        except SourceUnavailableError:
            return UNAVAILABLE
        return INVALID if credential is None else self.refusal(credential, facts)

    def refusal(self, credential: Credential, facts: Facts) -> Refusal | None:
        """Why a request would be refused whatever the limits say; takes and counts nothing."""
        tenant = decision.acting_tenant(credential, facts.tenant_id)
        return decision.refusal(credential, facts, tenant, self._clock())

    def _before_limits(
        self, credential: Credential, facts: Facts, now_us: int
    ) -> tuple[Refusal | None, TenantRecord, LimitSet, UsageId]:
        """All that is decided before the limits are asked, and which ones those are."""
        record = credential.record
        acting = record.tenant if facts.tenant_id is None else decision.acting_tenant(credential, facts.tenant_id)
        refusal = decision.refusal(credential, facts, acting, now_us)
        if refusal is None:
            self._recorder.used(credential, now_us, facts.client_ip)
        elif credential.is_previous and now_us < (credential.expires_at_us or 0):
            # Refused or not, a program still holds the old secret: its owner must not be told that none does.
            self._recorder.previous_refused(credential, now_us)
        if acting is None or acting is record.tenant:
            return refusal, record.tenant, record.limit_set, record.usage_id
        return refusal, acting, _limits_for(record, acting), (acting.id, record.environment, record.kid)


def _limits_for(record: KeyRecord, acting: TenantRecord) -> LimitSet:
    return limit_set(acting, record.kid, record.limit_per_minute, record.tenant.id)


def rate_limited(taken: Taken, limits: LimitSet, cost: int) -> Refusal:
    """The limits said no. Where the plan has room, the key's own limit did, and a larger plan would not help."""
    plan_refused = any(
        level.remaining < cost for limit, level in zip(limits.limits, taken.levels, strict=True) if not limit.window
    )
    wait = f"Retry in {retry_after_s(taken)} s"
    detail = (
        f"The rate limit is used up. {wait}, or ask for a larger plan."
        if plan_refused
        else f"This API key's own limit is used up. {wait}."
    )
    return Refusal(Code.RATE_LIMIT_EXCEEDED, detail)


def retry_after_s(taken: Taken) -> int:
    """Whole seconds after which the request is let in: rounded up, so that who waits that long is not early."""
    return max(1, -(-taken.retry_after_us // 1_000_000))
