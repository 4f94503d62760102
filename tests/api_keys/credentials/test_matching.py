"""Which secret it is, and that every no costs the same work."""

from __future__ import annotations

import pytest

from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.credentials.matching import StoredSecrets, Which, matching_secret
from aitbc_server.secret_keys import SecretKeys

_IDENTITY = ("kid000000001", "acme", "live")


class CountedDigests(SecretDigests):
    """Counts the digests that it computes."""

    computed = 0

    def digest(self, version: str, *, kid: str, tenant_id: str, environment: str, secret: str) -> bytes | None:
        """See ``SecretDigests``."""
        self.computed += 1
        return super().digest(version, kid=kid, tenant_id=tenant_id, environment=environment, secret=secret)


@pytest.fixture
def digests() -> CountedDigests:
    return CountedDigests(SecretKeys([b"k" * 32]))


def stored(digests: SecretDigests, *, previous: bool, version: str | None = None) -> StoredSecrets:
    """A key whose secret is "current", and "previous" where it has two."""
    kid, tenant_id, environment = _IDENTITY
    current, older = (
        digests.digest(digests.newest, kid=kid, tenant_id=tenant_id, environment=environment, secret=secret)
        for secret in ("current", "previous")
    )
    assert current is not None
    version = version or digests.newest
    return StoredSecrets(*_IDENTITY, current, version, *((older, version) if previous else (None, None)))


@pytest.mark.parametrize(
    ("secret", "previous", "which"),
    [
        ("current", False, Which.CURRENT),
        ("current", True, Which.CURRENT),
        ("previous", True, Which.PREVIOUS),
        ("previous", False, None),
        ("other", True, None),
    ],
)
def test_which_secret_it_is(digests: CountedDigests, secret: str, previous: bool, which: Which | None) -> None:
    """The current one, the one in its grace period, or neither."""
    assert matching_secret(digests, stored(digests, previous=previous), secret, "live") is which


@pytest.mark.parametrize("case", ["unknown", "wrong", "wrong with two", "environment", "pepper out of force"])
def test_every_no_is_the_same_work(digests: CountedDigests, case: str) -> None:
    """Two digests each: no time tells that a key exists, or that it has an older secret. ASVS 6.3.8, 11.2.4."""
    keys = {
        "unknown": (None, "other", "live"),
        "wrong": (stored(digests, previous=False), "other", "live"),
        "wrong with two": (stored(digests, previous=True), "other", "live"),
        "environment": (stored(digests, previous=True), "current", "test"),
        "pepper out of force": (stored(digests, previous=True, version="gone"), "current", "live"),
    }
    digests.computed = 0
    assert matching_secret(digests, *keys[case]) is None
    assert digests.computed == 2


def test_a_secret_that_is_not_there_has_no_digest(digests: CountedDigests, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a text whose digest is what stands in for it would pass."""
    nothing = bytes(32)
    key = stored(digests, previous=False)
    monkeypatch.setattr(digests, "digest", lambda *_args, **_fields: nothing)
    assert matching_secret(digests, None, "other", "live") is None
    assert matching_secret(digests, key, "other", "live") is None
