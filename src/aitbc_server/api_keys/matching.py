"""Is this a key's secret? The same work whatever the answer, and no answer but by the keyed digest."""

from __future__ import annotations

import hmac
from enum import Enum
from typing import Any, NamedTuple

from aitbc_server.api_keys.digests import SecretDigests

# What an unknown kid is compared with: no secret has this digest.
_NO_DIGEST = bytes(32)


class Which(Enum):
    """Which of a key's two secrets it is."""

    CURRENT = "current"
    PREVIOUS = "previous"


class StoredSecrets(NamedTuple):
    """What the database holds in place of a key's secrets, and what their digests are bound to."""

    kid: str
    tenant_id: str
    environment: str
    digest: bytes
    pepper_version: str
    previous_digest: bytes | None
    previous_pepper_version: str | None

    @classmethod
    def of(cls, row: Any) -> StoredSecrets:
        """From anything that has the columns of ``ApiKeyRow``."""
        return cls(*(getattr(row, field) for field in cls._fields))


def matching_secret(
    digests: SecretDigests, stored: StoredSecrets | None, secret: str, environment: str | None
) -> Which | None:
    """Which of the key's secrets ``secret`` is; None for neither, and for ``stored`` None (an unknown kid).

    ``environment`` is what the presented text claims (None: a foreign key claims none). It goes into the digest and
    must be what the row says: neither a changed prefix nor a row that was moved makes a test key live.
    """
    if stored is None or environment not in {None, stored.environment}:
        _matches(digests, digests.newest, _NO_DIGEST, ("0" * 12, "no-tenant", "live"), secret)
        return None
    identity = (stored.kid, stored.tenant_id, stored.environment)
    if _matches(digests, stored.pepper_version, stored.digest, identity, secret):
        return Which.CURRENT
    if stored.previous_digest is None or stored.previous_pepper_version is None:
        return None
    is_previous = _matches(digests, stored.previous_pepper_version, stored.previous_digest, identity, secret)
    return Which.PREVIOUS if is_previous else None


def _matches(digests: SecretDigests, version: str, digest: bytes, identity: tuple[str, str, str], secret: str) -> bool:
    kid, tenant_id, environment = identity
    computed = digests.digest(version, kid=kid, tenant_id=tenant_id, environment=environment, secret=secret)
    return computed is not None and hmac.compare_digest(computed, digest)
