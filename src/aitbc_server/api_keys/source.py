"""Tells a right secret from a wrong one, for the gate: one indexed query for a key that is not cached.

The work is the same whether the kid is unknown or the secret is wrong: a row comes back in any case, and one
digest is computed and compared in constant time. (ASVS 6.3.8, 11.2.4)
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from aitbc import keyformat
from aitbc_server.api_keys import repository
from aitbc_server.api_keys.digests import SecretDigests
from aitbc_server.api_keys.loading import key_record, tenant_record
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.api_keys.repository import KeyWithTenants
from aitbc_server.clock import Clock, now, to_ms
from aitbc_server.db.engine import Database
from aitbc_server.gate.gate import SourceUnavailableError
from aitbc_server.gate.records import Credential

MIN_FOREIGN_LENGTH = 16
MAX_LENGTH = 512

# What an unknown kid is compared with: no secret has this digest.
_NO_DIGEST = bytes(32)


class DatabaseCredentialSource:
    """Implements ``CredentialSource``."""

    def __init__(self, database: Database, digests: SecretDigests, clock: Clock) -> None:
        self._database = database
        self._digests = digests
        self._clock = clock

    async def load(self, text: bytes) -> Credential | None:
        """See ``CredentialSource``."""
        try:
            secret = text.decode("ascii")
        except UnicodeDecodeError:
            return None
        parts = keyformat.parse(secret)
        if parts is None and (keyformat.has_prefix(secret) or not MIN_FOREIGN_LENGTH <= len(secret) <= MAX_LENGTH):
            return None
        try:
            async with self._database.read() as session:
                if parts is None:
                    rows = await repository.find_by_lookup(session, self._digests.lookups(secret))
                    return self._credential(rows, secret, None)
                rows = await repository.find_by_kid(session, parts.kid)
                return self._credential(rows, parts.secret, parts.environment)
        except (SQLAlchemyError, OSError) as error:
            raise SourceUnavailableError(str(error)) from error

    def _credential(
        self, rows: Sequence[Row[KeyWithTenants]], secret: str, environment: str | None
    ) -> Credential | None:
        key, tenant, plan, *_ = rows[0]
        is_previous = self._which(key, secret, environment)
        if is_previous is None or key is None or tenant is None or plan is None:
            return None
        granted = [tenant_record(row[3], row[4]) for row in rows if row[3] is not None and row[4] is not None]
        record = key_record(key, tenant_record(tenant, plan), granted, now(self._clock))
        expires_at = key.previous_expires_at if is_previous else None
        return Credential(record, is_previous, None if expires_at is None else to_ms(expires_at) * 1000)

    def _which(self, key: ApiKeyRow | None, secret: str, environment: str | None) -> bool | None:
        """False: the key's current secret. True: its previous one. None: neither."""
        if key is None:
            self._matches(self._digests.newest, _NO_DIGEST, "0" * 12, "no-tenant", "live", secret)
            return None
        # What the text claims goes into the digest, and must be what the row says: neither a changed prefix nor a
        # row that was moved to the other environment makes a test key live.
        identity = (key.kid, key.tenant_id, environment or key.environment)
        if identity[2] != key.environment:
            self._matches(self._digests.newest, _NO_DIGEST, *identity, secret)
            return None
        if self._matches(key.pepper_version, key.digest, *identity, secret):
            return False
        if key.previous_digest is not None and key.previous_pepper_version is not None:
            return True if self._matches(key.previous_pepper_version, key.previous_digest, *identity, secret) else None
        return None

    def _matches(self, version: str, digest: bytes, kid: str, tenant_id: str, environment: str, secret: str) -> bool:
        computed = self._digests.digest(version, kid=kid, tenant_id=tenant_id, environment=environment, secret=secret)
        return computed is not None and hmac.compare_digest(computed, digest)
