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

from aitbc_server.gate.credential import Credential
from aitbc_server.gate.records import UsageId

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
        salt, person = secrets.token_bytes(blake2b.SALT_SIZE), secrets.token_bytes(blake2b.PERSON_SIZE)
        # A copy of a hash that is set up costs half of setting one up.
        self._begin_digest = blake2b(digest_size=_DIGEST_BYTES, salt=salt, person=person).copy
        self._max = max_credentials
        self._credentials: dict[bytes, Credential] = {}
        # Most tenants have one key in use, and for one digest a set of its own would be the larger part.
        self._digests: dict[str, bytes | set[bytes]] = {}
        # What was dropped, or made here and not used yet: known to be good, so it is looked up at once, however many
        # wrong keys come from the same address.
        self._expected: dict[bytes, UsageId] = {}
        self._drops = 0
        self._dropped_at: dict[str, int] = {}
        self._all_dropped_at = 0
        self._loads = 0

    def __len__(self) -> int:
        return len(self._credentials)

    def digest(self, text: bytes) -> bytes:
        """Under which name a credential is remembered here."""
        hashed = self._begin_digest()
        hashed.update(text)
        return hashed.digest()

    def get(self, digest: bytes) -> Credential | None:
        """The credential, if it is known to be right."""
        return self._credentials.get(digest)

    def rests_on(self, tenant_id: str) -> bool:
        """Whether a record is held that a drop of this tenant would forget."""
        return tenant_id in self._digests

    def expected(self, digest: bytes) -> UsageId | None:
        """Whose this credential is, if it was right when it was last looked up, or was made here, and is not held."""
        return self._expected.get(digest)

    def expect(self, text: bytes, usage_id: UsageId) -> None:
        """This credential was just made. Its first use is no guess, wherever it comes from."""
        self._expected[self.digest(text)] = usage_id
        self._bound_expected()

    def forget(self, digest: bytes) -> None:
        """This credential was good once, and is no more: from now on it is a guess like any other."""
        self._expected.pop(digest, None)

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
        if self._all_dropped_at > ticket or any(self._dropped_at.get(tenant, 0) > ticket for tenant in tenants):
            return False
        if digest in self._credentials:
            # Another load of the same credential was quicker; what it found may name other tenants.
            self._remove(digest)
        elif len(self._credentials) >= self._max:
            for oldest in list(islice(self._credentials, _EVICTED_AT_ONCE)):
                self._remove(oldest)
        self._credentials[digest] = credential
        self._expected.pop(digest, None)
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
                self._expected[digest] = self._remove(digest).record.usage_id
        self._bound_expected()

    def drop_all(self) -> None:
        """Forget every record, and let no load that has begun bring one back."""
        self.drop(list(self._digests))
        self._all_dropped_at = self._drops

    def _bound_expected(self) -> None:
        if len(self._expected) > self._max:
            for oldest in list(islice(self._expected, len(self._expected) - self._max + _EVICTED_AT_ONCE)):
                del self._expected[oldest]

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
