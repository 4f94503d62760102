"""Credentials that were found right, so that a key in use costs no database query.

A credential is remembered by a digest keyed with random values of this process: no secret stands in memory
longer than its request (ASVS 14.2.2), and looking one up leaks nothing by its timing. Only right secrets get in:
a wrong one never finds a cached record, whatever key it names.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice

from aitbc_server.gate.records import Credential, UsageId

MAX_CREDENTIALS = 250_000

# Room is made for so many at once: finding the oldest entry of a dict walks over the places of all that were
# removed before it, which must not happen for every single one.
_EVICTED_AT_ONCE = 1000

_DIGEST_BYTES = 16


class CredentialCache:
    """Right credentials by digest, dropped by tenant.

    A load takes a ``ticket`` before it reads the database; ``put`` refuses what began before a drop of one of
    the record's tenants, so that a slow load never brings a stale record back.
    """

    def __init__(self, max_credentials: int = MAX_CREDENTIALS) -> None:
        # As salt and personalisation the key goes into the hash's own parameters, which saves the block that its
        # keyed mode would hash first. Both are random, so the digests are of a function that nobody else knows.
        self._salt = secrets.token_bytes(blake2b.SALT_SIZE)
        self._person = secrets.token_bytes(blake2b.PERSON_SIZE)
        self._max = max_credentials
        self._credentials: dict[bytes, Credential] = {}
        # Most tenants have one key in use, and for one digest a set of its own would be the larger part.
        self._digests: dict[str, bytes | set[bytes]] = {}
        # What was dropped: known to be good once, so it is looked up again at once, however many wrong keys come
        # from the same address.
        self._dropped: dict[bytes, UsageId] = {}
        self._drops = 0
        self._dropped_at: dict[str, int] = {}
        self._loads = 0

    def digest(self, text: bytes) -> bytes:
        """Under which name a credential is remembered here."""
        return blake2b(text, digest_size=_DIGEST_BYTES, salt=self._salt, person=self._person).digest()

    def get(self, digest: bytes) -> Credential | None:
        """The credential, if it is known to be right."""
        return self._credentials.get(digest)

    def was_good(self, digest: bytes) -> UsageId | None:
        """Whose this credential was, if it was right when it was last looked up and was dropped since."""
        return self._dropped.get(digest)

    def forget(self, digest: bytes) -> None:
        """This credential was good once, and is no more: from now on it is a guess like any other."""
        self._dropped.pop(digest, None)

    @property
    def drops(self) -> int:
        """How often something was dropped so far: what is read now is not older than that drop."""
        return self._drops

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
        if digest in self._credentials:
            # Another load of the same credential was quicker; what it found may name other tenants.
            self._remove(digest)
        elif len(self._credentials) >= self._max:
            for oldest in list(islice(self._credentials, _EVICTED_AT_ONCE)):
                self._remove(oldest)
        self._credentials[digest] = credential
        self._dropped.pop(digest, None)
        for tenant in tenants:
            self._index(tenant, digest)
        return True

    def drop(self, tenant_ids: Iterable[str]) -> None:
        """Forget every record that rests on one of these tenants, now."""
        self._drops += 1
        for tenant_id in tenant_ids:
            if self._loads:
                self._dropped_at[tenant_id] = self._drops
            for digest in list(self._digests_of(tenant_id)):
                self._dropped[digest] = self._remove(digest).record.usage_id
        if len(self._dropped) > self._max:
            for oldest in list(islice(self._dropped, len(self._dropped) - self._max + _EVICTED_AT_ONCE)):
                del self._dropped[oldest]

    def _index(self, tenant: str, digest: bytes) -> None:
        digests = self._digests.get(tenant)
        if digests is None:
            self._digests[tenant] = digest
        elif isinstance(digests, set):
            digests.add(digest)
        else:
            self._digests[tenant] = {digests, digest}

    def _digests_of(self, tenant: str) -> Iterator[bytes]:
        digests = self._digests.get(tenant, ())
        return iter((digests,) if isinstance(digests, bytes) else digests)

    def _remove(self, digest: bytes) -> Credential:
        credential = self._credentials.pop(digest)
        for tenant in _tenants(credential):
            digests = self._digests[tenant]
            if isinstance(digests, set) and len(digests) > 1:
                digests.discard(digest)
            else:
                del self._digests[tenant]
        return credential


def _tenants(credential: Credential) -> list[str]:
    record = credential.record
    # A grant of the key's own tenant would say nothing new, and must not be indexed twice.
    return [record.tenant.id, *(tenant_id for tenant_id in record.granted if tenant_id != record.tenant.id)]
