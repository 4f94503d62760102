"""Giving a key a secret: the text is handed out once, and only its digest is kept."""

from __future__ import annotations

from datetime import timedelta

from aitbc import keyformat
from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.clock import Timestamp, from_ms, to_ms


def issue(row: ApiKeyRow, digests: SecretDigests, at: Timestamp) -> str:
    """Give the key a fresh secret of our format; returns the whole key, to be shown once."""
    secret = keyformat.random_base62(keyformat.SECRET_LENGTH)
    key = keyformat.build(row.environment, row.kid, secret)
    _put(row, digests, secret, at)
    row.lookup, row.last4 = None, key[-4:]
    return key


def adopt(row: ApiKeyRow, digests: SecretDigests, text: str, at: Timestamp) -> None:
    """Let a text that was made elsewhere be the key's secret: a foreign key, or one of our format with this kid."""
    parts = keyformat.parse(text)
    if parts is None:
        _put(row, digests, text, at)
        # No character of a foreign key is kept: who knows how short the part is that matters.
        row.lookup, row.last4 = digests.lookups(text)[0], ""
    else:
        _put(row, digests, parts.secret, at)
        row.lookup, row.last4 = None, text[-4:]


def reissue(
    row: ApiKeyRow, digests: SecretDigests, at: Timestamp, *, grace_s: int, last_used_at: Timestamp | None
) -> str:
    """A new secret under the same id. The present one goes on for ``grace_s`` seconds; an older one stops now.

    ``last_used_at`` is when the present secret was last used, as far as is known.
    """
    if grace_s:
        row.previous_digest, row.previous_pepper_version = row.digest, row.pepper_version
        row.previous_lookup = row.lookup
        row.previous_expires_at = from_ms(to_ms(at + timedelta(seconds=grace_s)))
        used = last_used_at is not None and last_used_at >= row.secret_created_at
        row.previous_last_used_at = last_used_at if used else None
    else:
        forget_previous(row)
    return issue(row, digests, at)


def forget_previous(row: ApiKeyRow) -> None:
    """The older of two secrets stops now."""
    row.previous_digest = row.previous_pepper_version = row.previous_lookup = None
    row.previous_expires_at = row.previous_last_used_at = None


def _put(row: ApiKeyRow, digests: SecretDigests, secret: str, at: Timestamp) -> None:
    digest = digests.digest(
        digests.newest, kid=row.kid, tenant_id=row.tenant_id, environment=row.environment, secret=secret
    )
    assert digest is not None, "the newest pepper is always in force"
    row.digest, row.pepper_version = digest, digests.newest
    row.secret_created_at = at
