"""After the pepper was changed: a secret that is used under an old version gets its digest under the newest.

So an old version can be taken out of force once ``aitbc admin doctor`` counts no key under it any more. Nothing waits
for this and nothing depends on it: what could not be written is written when the key is used again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from sqlalchemy import Update, update
from sqlalchemy.exc import SQLAlchemyError

from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.credentials.matching import Which
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.db.engine import Database
from aitbc_server.periodic import repeating

INTERVAL_S = 1.0

# A start with a new pepper meets many keys at once; what does not fit comes with its next use.
_MAX_WAITING = 10_000


class _Tag(NamedTuple):
    old_digest: bytes
    digest: bytes
    lookup: bytes | None


class PepperRotation:
    """Collects secrets that were right under an old pepper version, and writes their new digests in the background."""

    def __init__(self, database: Database, digests: SecretDigests) -> None:
        self._database = database
        self._digests = digests
        self._waiting: dict[tuple[str, Which], _Tag] = {}

    def used(self, key: ApiKeyRow, which: Which, secret: str) -> None:
        """``secret`` was found right. The secret itself is not kept."""
        current = which is Which.CURRENT
        version = key.pepper_version if current else key.previous_pepper_version
        old_digest = key.digest if current else key.previous_digest
        if version == self._digests.newest or old_digest is None or len(self._waiting) >= _MAX_WAITING:
            return
        digest = self._digests.digest(
            self._digests.newest, kid=key.kid, tenant_id=key.tenant_id, environment=key.environment, secret=secret
        )
        is_foreign = (key.lookup if current else key.previous_lookup) is not None
        if digest is not None:
            lookup = self._digests.lookups(secret)[0] if is_foreign else None
            self._waiting[key.kid, which] = _Tag(old_digest, digest, lookup)

    async def flush(self) -> None:
        """Write what waits. Raises where the database does not take it; it is then tried again."""
        waiting = dict(self._waiting)
        if not waiting:
            return
        async with self._database.write() as session:
            for (kid, which), tag in sorted(waiting.items(), key=lambda item: item[0][0]):
                await session.execute(_update(self._digests.newest, kid, which, tag))
            await session.commit()
        for each in waiting:
            self._waiting.pop(each, None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write once a second until the block is left."""
        async with repeating(self.flush, interval_s=INTERVAL_S, name="re-tagging keys under the newest pepper"):
            yield
        with suppress(SQLAlchemyError, OSError):
            await self.flush()


def _update(newest: str, kid: str, which: Which, tag: _Tag) -> Update:
    """Nothing happens where the key was regenerated in the meantime: then it has another digest."""
    statement = update(ApiKeyRow).where(ApiKeyRow.kid == kid)
    if which is Which.CURRENT:
        return statement.where(ApiKeyRow.digest == tag.old_digest).values(
            digest=tag.digest, pepper_version=newest, lookup=tag.lookup
        )
    return statement.where(ApiKeyRow.previous_digest == tag.old_digest).values(
        previous_digest=tag.digest, previous_pepper_version=newest, previous_lookup=tag.lookup
    )
