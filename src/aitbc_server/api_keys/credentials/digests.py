"""What the database holds in place of a secret: digests keyed by the pepper, bound to kid, tenant and environment.

A stolen database authenticates nobody without the pepper; a row planted in it, or moved to another tenant or
environment, matches no secret. A secret has 256 bits, so one keyed hash is enough (ASVS 6.5.2).
"""

from __future__ import annotations

import hmac

from aitbc_server.secret_keys import SecretKeys

_PURPOSE = "pepper-v1"


class SecretDigests:
    """Computes and compares digests, for every pepper version in force."""

    def __init__(self, secret_keys: SecretKeys) -> None:
        self._peppers = {version: secret_keys.derive(_PURPOSE, version) or b"" for version in secret_keys.versions}
        self.newest = secret_keys.newest

    def is_in_force(self, version: str) -> bool:
        """Whether digests under this pepper version still count."""
        return version in self._peppers

    def digest(self, version: str, *, kid: str, tenant_id: str, environment: str, secret: str) -> bytes | None:
        """HMAC-SHA256(pepper, "apikey-v1" || kid || tenant || environment || secret); None: version not in force."""
        pepper = self._peppers.get(version)
        return None if pepper is None else _mac(pepper, "apikey-v1", kid, tenant_id, environment, secret)

    def lookups(self, secret: str) -> list[bytes]:
        """Under which digests a foreign key may be found: one for each pepper version, newest first."""
        return [_mac(pepper, "foreign-v1", secret) for pepper in self._peppers.values()]


def _mac(pepper: bytes, *fields: str) -> bytes:
    # Each field goes in with its length, so that no two lists of fields give the same message.
    message = b"".join(len(data).to_bytes(4, "big") + data for data in (field.encode() for field in fields))
    return hmac.digest(pepper, message, "sha256")
