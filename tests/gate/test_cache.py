"""The cache never gives out what is older than the last drop, in any order of events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from tests.gate.factories import key, tenant

from aitbc_server.gate.cache import _EVICTED_AT_ONCE, CredentialCache
from aitbc_server.gate.credential import Credential
from aitbc_server.gate.records import KeyRecord

TEXT = b"a secret"
HOME, GRANTED, OTHER = "alice", "bob", "carol"


def versioned(number: int) -> KeyRecord:
    """The record as it is after ``number`` changes; it rests on two tenants."""
    return key(tenant(HOME), granted=[tenant(GRANTED)], name=f"version {number}")


class Model:
    """Changes of a record and loads of it, one step after the other, and what must hold after each step."""

    def __init__(self) -> None:
        self.cache = CredentialCache()
        self.digest = self.cache.digest(TEXT)
        self.committed = 0
        self.announced = 0
        self._loads: dict[str, tuple[int, int]] = {}

    def step(self, event: str) -> None:
        """``load``/``read``/``put`` + a load's name; ``commit``; ``drop`` + a tenant."""
        what, _, name = event.partition(" ")
        if what == "load":
            self._loads[name] = self.cache.begin_load(), -1
        elif what == "read":
            self._loads[name] = self._loads[name][0], self.committed
        elif what == "put":
            ticket, version = self._loads.pop(name)
            self.cache.put(self.digest, Credential(versioned(version)), ticket)
            self.cache.end_load()
        elif what == "commit":
            self.committed += 1
        else:
            self.cache.drop([name])
            self.announced = self.announced if name == OTHER else self.committed
        self._check()

    def _check(self) -> None:
        found = self.cache.get(self.digest)
        if found is not None:
            assert int(found.record.name.split()[1]) >= self.announced


def interleavings(threads: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Every order of all steps in which each thread's own steps keep theirs."""
    if not any(threads):
        yield []
    for number, thread in enumerate(threads):
        if thread:
            rest = [*threads[:number], thread[1:], *threads[number + 1 :]]
            for order in interleavings(rest):
                yield [thread[0], *order]


@pytest.mark.parametrize("stale", [(HOME, HOME), (HOME, GRANTED), (GRANTED, OTHER)])
def test_no_order_of_events_brings_a_stale_record_back(stale: tuple[str, str]) -> None:
    """Two loads and two changes in all of their 25,200 orders: once announced, a change is seen. ASVS 8.3.2."""
    first, second = stale
    threads = [
        ["load a", "read a", "put a"],
        ["load b", "read b", "put b"],
        ["commit", f"drop {first}"],
        ["commit", f"drop {second}"],
    ]
    orders = 0
    for order in interleavings(threads):
        model = Model()
        for event in order:
            model.step(event)
        orders += 1
    assert orders == 25_200


def test_a_load_that_nothing_overtook_is_kept() -> None:
    """The cache is of use: refusing everything would pass the test above."""
    model = Model()
    for event in ["load a", "commit", "drop carol", "read a", "put a"]:
        model.step(event)
    assert model.cache.get(model.digest) is not None


def test_tickets_leave_nothing_behind() -> None:
    """When no load runs, no drop needs to be remembered."""
    cache = CredentialCache()
    cache.begin_load()
    cache.drop(["alice"])
    assert cache._dropped_at
    cache.end_load()
    assert not cache._dropped_at


def put(cache: CredentialCache, text: bytes, record: KeyRecord) -> bytes:
    digest = cache.digest(text)
    assert cache.put(digest, Credential(record), cache.begin_load())
    cache.end_load()
    return digest


def test_a_drop_takes_all_keys_that_rest_on_the_tenant() -> None:
    """Its own and those that were granted to it, and no others."""
    cache = CredentialCache()
    own = [put(cache, b"1", key(tenant("alice"), "k1")), put(cache, b"2", key(tenant("alice"), "k2"))]
    granted = put(cache, b"3", key(tenant("bob"), "k3", granted=[tenant("alice"), tenant("bob")]))
    other = put(cache, b"4", key(tenant("bob"), "k4"))
    cache.drop(["alice", "nobody"])
    assert [cache.get(digest) for digest in [*own, granted]] == [None] * 3
    assert cache.get(other) is not None
    cache.drop(["bob"])
    assert cache._digests == {}


def test_what_was_dropped_is_known_to_have_been_good() -> None:
    """So that it is looked up again at once; when it is loaded again, that is forgotten."""
    cache = CredentialCache()
    digest = put(cache, b"1", key(tenant("alice"), "k1"))
    cache.drop(["alice"])
    assert cache.expected(digest) == ("alice", "live", "k1")
    assert cache.expected(cache.digest(b"2")) is None
    put(cache, b"1", key(tenant("alice"), "k1"))
    assert cache.expected(digest) is None


def test_another_load_of_the_same_credential_replaces_the_first() -> None:
    """Also where the later one names other tenants."""
    cache = CredentialCache()
    put(cache, b"1", key(tenant("alice"), granted=[tenant("bob")]))
    digest = put(cache, b"1", key(tenant("alice")))
    cache.drop(["bob"])
    assert cache.get(digest) is not None


def test_it_stays_within_its_size() -> None:
    """The oldest make room, and what was dropped is not remembered without end either."""
    cache = CredentialCache(max_credentials=2 * _EVICTED_AT_ONCE)
    digests = [put(cache, b"%d" % number, key(tenant(f"t{number}"))) for number in range(5 * _EVICTED_AT_ONCE)]
    assert len(cache._credentials) <= 2 * _EVICTED_AT_ONCE
    assert cache.get(digests[-1]) is not None
    assert cache.get(digests[0]) is None
    for number in range(3):
        for text in range(_EVICTED_AT_ONCE):
            put(cache, b"%d %d" % (number, text), key(tenant("alice")))
        cache.drop(["alice"])
    assert 0 < len(cache._expected) <= 2 * _EVICTED_AT_ONCE


def test_no_secret_stands_in_memory() -> None:
    """What is remembered is a digest that differs from process to process. ASVS 14.2.2."""
    first, second = CredentialCache(), CredentialCache()
    digest = put(first, TEXT, key())
    assert len(digest) == 16
    assert digest != second.digest(TEXT)
    assert TEXT not in digest
