"""Tells a right secret from a wrong one, for the gate: one indexed query for a key that is not cached.

The work is the same whether the kid is unknown or the secret is wrong: a row comes back in any case, and one
digest is computed and compared in constant time. (ASVS 6.3.8, 11.2.4)
"""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from aitbc import keyformat
from aitbc_server.api_keys.digests import SecretDigests
from aitbc_server.api_keys.loading import key_record
from aitbc_server.api_keys.lookup import Found, find_by_kid, find_by_lookup
from aitbc_server.api_keys.matching import Which, matching_secret
from aitbc_server.api_keys.retagging import PepperRotation
from aitbc_server.clock import Clock, now, to_ms
from aitbc_server.db.engine import Database
from aitbc_server.gate.loads import SourceUnavailableError
from aitbc_server.gate.records import Credential

MIN_FOREIGN_LENGTH = 16
MAX_LENGTH = 512


class DatabaseCredentialSource:
    """Implements ``CredentialSource``."""

    def __init__(self, database: Database, digests: SecretDigests, rotation: PepperRotation, clock: Clock) -> None:
        self._database = database
        self._digests = digests
        self._rotation = rotation
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
                    found = await find_by_lookup(session, self._digests.lookups(secret))
                    return self._credential(found, secret, None)
                found = await find_by_kid(session, parts.kid)
                return self._credential(found, parts.secret, parts.environment)
        except (SQLAlchemyError, OSError) as error:
            raise SourceUnavailableError(str(error)) from error

    def _credential(self, found: Found, secret: str, environment: str | None) -> Credential | None:
        which = matching_secret(self._digests, found.stored_secrets, secret, environment)
        if which is None:
            return None
        key = found.key()
        self._rotation.used(key, which, secret)
        record = key_record(key, found.tenant(), found.granted(), now(self._clock))
        if which is Which.CURRENT or key.previous_expires_at is None:
            return Credential(record)
        return Credential(record, is_previous=True, expires_at_us=to_ms(key.previous_expires_at) * 1000)
