"""A creation that is asked for again is not done again: it is answered with what was made the first time.

Unique per tenant, environment and route for 24 h. A creation and the record of its key are one transaction, so
that a crash leaves both or neither. Never holds a secret.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.actor import Actor
from aitbc_server.clock import Timestamp, from_ms, now, to_ms
from aitbc_server.db.locks import try_lock
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import conflict
from aitbc_server.idempotency import repository
from aitbc_server.idempotency.model import IdempotencyKeyRow
from aitbc_server.periodic import repeating
from aitbc_server.wire import to_builtins

LIFETIME = timedelta(hours=24)
PURGE_INTERVAL_S = 60.0
_PURGE_BATCH = 1000


class Claim(msgspec.Struct, frozen=True):
    """A creation that came with an idempotency key: whose it is, for which route, and the hash of its request."""

    tenant_id: str
    environment: str
    route: str
    key: str
    request_hash: bytes


class IdempotencyKeys:
    """Remembers what was made for which key.

    A creation does, around its unit of work and first thing in it::

        with idempotency.running(actor, "jobs.create", idempotency_key, body) as claim:
            async with units.begin() as unit:
                earlier_id = await idempotency.claim(unit.session, claim, job_id)
                if earlier_id is not None:
                    ...answer the object with earlier_id, change nothing
    """

    def __init__(self, units: UnitsOfWork) -> None:
        self._units = units
        self._running: set[Claim] = set()

    @contextmanager
    def running(self, actor: Actor, route: str, key: str | None, body: Any) -> Iterator[Claim | None]:
        """The claim for this request; None where it has no idempotency ``key``.

        ``route`` is the operation's id; ``body`` any wire type or plain JSON data (spelling and order do not count).
        Raises ``conflict`` while the same request is still being worked on here.
        """
        if key is None:
            yield None
            return
        claim = Claim(actor.tenant_id, actor.environment or "", route, key, b"")
        if claim in self._running:
            raise _still_running()
        self._running.add(claim)
        try:
            yield msgspec.structs.replace(claim, request_hash=_hash(body))
        finally:
            self._running.discard(claim)

    async def claim(self, session: AsyncSession, claim: Claim | None, object_id: str) -> str | None:
        """None: go ahead, ``object_id`` is written down with the rest of the transaction. Else: what was made before.

        Raises ``conflict`` where the key came with another request, or while another node works on this one.
        """
        if claim is None:
            return None
        if not await try_lock(session, _lock_number(claim)):
            raise _still_running()
        row = await repository.get(session, claim.tenant_id, claim.environment, claim.route, claim.key)
        at = now(self._units.clock)
        if row is None:
            session.add(IdempotencyKeyRow(**msgspec.structs.asdict(claim), object_id=object_id, created_at=at))
            return None
        if row.created_at <= _before(at):
            row.request_hash, row.object_id, row.created_at = claim.request_hash, object_id, at
            return None
        if not hmac.compare_digest(row.request_hash, claim.request_hash):
            raise conflict("This Idempotency-Key came with another request within the last 24 hours. Use a fresh one.")
        return row.object_id

    def purging(self) -> AbstractAsyncContextManager[None]:
        """Purge once a minute until the block is left."""
        return repeating(self.purge, interval_s=PURGE_INTERVAL_S, name="forgetting idempotency keys")

    async def purge(self) -> None:
        """Forget what is older than 24 h, in short transactions."""
        more = True
        while more:
            async with self._units.begin() as unit:
                before = _before(now(self._units.clock))
                more = await repository.delete_older(unit.session, before, about=_PURGE_BATCH)
                await unit.commit()


def _before(at: Timestamp) -> Timestamp:
    return from_ms(to_ms(at - LIFETIME))


def _hash(body: Any) -> bytes:
    return hashlib.sha256(msgspec.json.encode(to_builtins(body), order="sorted")).digest()


def _lock_number(claim: Claim) -> int:
    identity = msgspec.json.encode(("idempotency", claim.tenant_id, claim.environment, claim.route, claim.key))
    return int.from_bytes(hashlib.sha256(identity).digest()[:8], "big", signed=True)


def _still_running() -> Exception:
    return conflict("A request with this Idempotency-Key is still being worked on. Send it again in a moment.")
