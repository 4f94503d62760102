"""Is this a key's secret? The same work for every no, and no answer but by the keyed digest."""

from __future__ import annotations

import hmac
from enum import Enum
from typing import Any, NamedTuple

from aitbc_server.api_keys.credentials.digests import SecretDigests

# What stands in for a secret that is not there: no text has this digest.
_NO_DIGEST = bytes(32)
_NOBODY = ("0" * 12, "no-tenant", "live")

#: The pepper version and the digest of one secret, as far as it is there.
_Stored = tuple[str | None, bytes | None]
_NO_SECRET: _Stored = (None, None)


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

    Two digests are computed and compared before a no, whether there are two secrets, one or none, so that a wrong
    secret tells nothing of the key by its time. (ASVS 6.3.8, 11.2.4)

    ``environment`` is what the presented text claims (None: a foreign key claims none). It goes into the digest and
    must be what the row says: neither a changed prefix nor a row that was moved makes a test key live.
    """
    identity, current, previous = _NOBODY, _NO_SECRET, _NO_SECRET
    if stored is not None and environment in {None, stored.environment}:
        identity = (stored.kid, stored.tenant_id, stored.environment)
        current = (stored.pepper_version, stored.digest)
        previous = (stored.previous_pepper_version, stored.previous_digest)
    if _matches(digests, current, identity, secret):
        return Which.CURRENT
    return Which.PREVIOUS if _matches(digests, previous, identity, secret) else None


def _matches(digests: SecretDigests, stored: _Stored, identity: tuple[str, str, str], secret: str) -> bool:
    version, digest = stored
    kid, tenant_id, environment = identity
    in_force = version if version is not None and digests.is_in_force(version) else None
    computed = digests.digest(
        in_force or digests.newest, kid=kid, tenant_id=tenant_id, environment=environment, secret=secret
    )
    assert computed is not None, "the newest pepper is always in force"
    is_equal = hmac.compare_digest(computed, digest or _NO_DIGEST)
    return is_equal and in_force is not None and digest is not None
