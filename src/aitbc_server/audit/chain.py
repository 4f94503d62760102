"""How audit rows are chained: HMAC-SHA256(audit key, previous MAC || row).

The row goes in as JSON in one spelling: fields in a fixed order, keys of objects sorted, ASCII only, numbers as
Python's JSON writes them. Both databases give back JSON text as it was written, so a row that was read has the MAC of
the row that was stored.
"""

from __future__ import annotations

import hmac
import json
from typing import Any

from aitbc_server.audit.model import AuditEventRow
from aitbc_server.secret_keys import SecretKeys

#: The MAC before the first row of a chain.
START = bytes(32)

_PURPOSE = "audit-v1"


class AuditKeys:
    """The audit key of each secret key version in force."""

    def __init__(self, secret_keys: SecretKeys) -> None:
        self.newest = secret_keys.newest
        self._keys = {version: secret_keys.derive(_PURPOSE, version) or b"" for version in secret_keys.versions}

    def mac(self, previous: bytes, row: AuditEventRow) -> bytes | None:
        """The MAC of ``row`` after ``previous``; None where the row's key version is not in force."""
        key = self._keys.get(row.key_version)
        return None if key is None else hmac.digest(key, previous + _canonical(row), "sha256")


def as_stored(value: Any) -> Any:
    """``value`` as a database gives it back: names of fields are text, tuples are lists.

    Raises ValueError for NaN and infinities, which JSON does not have.
    """
    return json.loads(json.dumps(value, allow_nan=False))


def _canonical(row: AuditEventRow) -> bytes:
    fields = [
        row.tenant_id,
        row.sequence,
        row.id,
        row.time.text(),
        row.actor_type,
        row.actor_id,
        row.actor_name,
        row.action,
        row.target_type,
        row.target_id,
        row.environment,
        row.client_ip,
        row.request_id,
        row.before,
        row.after,
        row.key_version,
    ]
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")
