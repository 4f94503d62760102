"""Tells a right secret from a wrong one, for the gate: one indexed query for a key that is not cached.

The work is the same whether the kid is unknown or the secret is wrong: a row comes back in any case, and one
digest is computed and compared in constant time. (ASVS 6.3.8, 11.2.4)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from aitbc import keyformat
from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.credentials.lookup import Found, find_all, find_by_kid, find_by_lookup
from aitbc_server.api_keys.credentials.matching import Which, matching_secret
from aitbc_server.api_keys.credentials.retagging import PepperRotation
from aitbc_server.api_keys.loading import key_record
from aitbc_server.clock import Clock, now, to_ms
from aitbc_server.db.engine import Database
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.loads import SourceUnavailableError

MIN_FOREIGN_LENGTH = 16
MAX_LENGTH = 512


class DatabaseCredentialSource:
    """Implements ``CredentialSource``."""

    def __init__(self, database: Database, digests: SecretDigests, rotation: PepperRotation, clock: Clock) -> None:
        self._database = database
        self._digests = digests
        self._rotation = rotation
        self._clock = clock

    def may_exist(self, text: bytes) -> bool:
        """See ``CredentialSource``. What has our prefix needs a right checksum, what has not the length of a key."""
        return _readable(text) is not None

    async def load(self, text: bytes) -> Credential | None:
        """See ``CredentialSource``."""
        secret = _readable(text)
        if secret is None:
            return None
        parts = keyformat.parse(secret)
        try:
            if parts is not None:
                found = await find_by_kid(self._database, parts.kid)
                return self._credential(found, parts.secret, parts.environment)
            async with self._database.read_soon() as session:
                found = await find_by_lookup(session, self._digests.lookups(secret))
                return self._credential(found, secret, None)
        except (SQLAlchemyError, OSError) as error:
            raise SourceUnavailableError(str(error) or "no answer in time") from error

    async def load_all(self, texts: Sequence[bytes]) -> list[Credential | None]:
        """See ``CredentialSource``. Two queries at most, however many texts."""
        secrets = [_readable(text) for text in texts]
        parts = {secret: keyformat.parse(secret) for secret in secrets if secret is not None}
        kids = {each.kid for each in parts.values() if each is not None}
        lookups = {secret: self._digests.lookups(secret) for secret, each in parts.items() if each is None}
        try:
            async with self._database.read_soon() as session:
                found = await find_all(session, sorted(kids), sorted(itertools.chain(*lookups.values())))
        except (SQLAlchemyError, OSError) as error:
            raise SourceUnavailableError(str(error) or "no answer in time") from error
        by_kid = {each.kid: each for each in found}
        by_lookup = {lookup: each for each in found for lookup in each.lookups}

        def credential(secret: str | None) -> Credential | None:
            ours = None if secret is None else parts[secret]
            if secret is None:
                return None
            if ours is not None:
                return self._credential(by_kid.get(ours.kid), ours.secret, ours.environment)
            known = [by_lookup[lookup] for lookup in lookups[secret] if lookup in by_lookup]
            return self._credential(known[0] if known else None, secret, None)

        return [credential(secret) for secret in secrets]

    def _credential(self, found: Found | None, secret: str, environment: str | None) -> Credential | None:
        stored = None if found is None else found.stored_secrets
        which = matching_secret(self._digests, stored, secret, environment)
        if found is None or which is None:
            return None
        key = found.key()
        self._rotation.used(key, which, secret)
        record = key_record(key, found.tenant(), found.granted(), now(self._clock))
        if which is Which.CURRENT or key.previous_expires_at is None:
            return Credential(record)
        return Credential(record, is_previous=True, expires_at_us=to_ms(key.previous_expires_at) * 1000)


def _readable(text: bytes) -> str | None:
    """The text, where there may be a key of that form; None: malformed."""
    try:
        secret = text.decode("ascii")
    except UnicodeDecodeError:
        return None
    if keyformat.has_prefix(secret):
        return secret if keyformat.parse(secret) is not None else None
    return secret if MIN_FOREIGN_LENGTH <= len(secret) <= MAX_LENGTH else None
