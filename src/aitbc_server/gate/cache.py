"""Credentials that were found right, so that a key in use costs no database query.

A credential is remembered by a digest keyed with a random value of this process: no secret stands in memory
longer than its request (ASVS 14.2.2), and looking one up leaks nothing by its timing. Only right secrets get in:
a wrong one never finds a cached record, whatever key it names.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import blake2b

from aitbc_server.gate.records import Credential

MAX_CREDENTIALS = 250_000


class CredentialCache:
    """Right credentials by digest, dropped by tenant.

    A load takes a ``ticket`` before it reads the database; ``put`` refuses what began before a drop of one of
    the record's tenants, so that a slow load never brings a stale record back.
    """

    def __init__(self, max_credentials: int = MAX_CREDENTIALS) -> None:
        self._key = secrets.token_bytes(32)
        self._max = max_credentials
        self._credentials: dict[bytes, Credential] = {}
        self._digests: dict[str, set[bytes]] = {}
        # Digests of credentials that were dropped: known to be good once, so they are looked up again at once,
        # however many wrong ones come from the same address.
        self._dropped: dict[bytes, None] = {}
        self._drops = 0
        self._dropped_at: dict[str, int] = {}
        self._loads = 0

    def digest(self, text: bytes) -> bytes:
        """Under which name a credential is remembered here."""
        return blake2b(text, digest_size=16, key=self._key).digest()

    def get(self, digest: bytes) -> Credential | None:
        """The credential, if it is known to be right."""
        return self._credentials.get(digest)

    def was_good(self, digest: bytes) -> bool:
        """Whether this credential was right when it was last looked up."""
        return digest in self._dropped

    def begin_load(self) -> int:
        """The ticket of a load; every ticket ends with ``end_load``."""
        self._loads += 1
        return self._drops

    def end_load(self) -> None:
        """A load is over, whatever came of it."""
        self._loads -= 1
        if not self._loads:
            # Nobody holds a ticket from before these drops any more.
            self._dropped_at.clear()

    def put(self, digest: bytes, credential: Credential, ticket: int) -> bool:
        """Remember a right credential; False where one of its tenants was dropped since the ticket."""
        tenants = _tenants(credential)
        if any(self._dropped_at.get(tenant, 0) > ticket for tenant in tenants):
            return False
        if digest not in self._credentials and len(self._credentials) >= self._max:
            self._remove(next(iter(self._credentials)))
        self._credentials[digest] = credential
        self._dropped.pop(digest, None)
        for tenant in tenants:
            self._digests.setdefault(tenant, set()).add(digest)
        return True

    def drop(self, tenant_ids: Iterable[str]) -> None:
        """Forget every record that rests on one of these tenants, now."""
        self._drops += 1
        for tenant_id in tenant_ids:
            if self._loads:
                self._dropped_at[tenant_id] = self._drops
            for digest in list(self._digests.get(tenant_id, ())):
                self._remove(digest)
                self._dropped[digest] = None
        while len(self._dropped) > self._max:
            del self._dropped[next(iter(self._dropped))]

    def _remove(self, digest: bytes) -> None:
        credential = self._credentials.pop(digest)
        for tenant in _tenants(credential):
            digests = self._digests[tenant]
            digests.discard(digest)
            if not digests:
                del self._digests[tenant]


def _tenants(credential: Credential) -> list[str]:
    record = credential.record
    return [record.tenant.id, *record.granted]
