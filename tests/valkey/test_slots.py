"""Hash slots, and what servers of a cluster say of them."""

from __future__ import annotations

import pytest

from aitbc_server.valkey.connection import Address, RefusedError
from aitbc_server.valkey.slots import Redirect, Share, redirect, shares, slot_of

ASKED = Address("asked", 7000, password="secret")


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        # The specification's check value, and its examples of what counts of a key with braces.
        ("123456789", 0x31C3),
        ("{user1000}.following", slot_of("user1000")),
        ("foo{}{bar}", 8363),
        ("foo{{bar}}zap", slot_of("{bar")),
        ("foo{bar}{zap}", slot_of("bar")),
        ("foo", 12182),
        ("{", slot_of("{")),
    ],
)
def test_a_key_is_in_the_slot_that_servers_say(key: str, slot: int) -> None:
    """So that its first call goes to the right one."""
    assert slot_of(key) == slot


def test_a_server_without_a_name_is_the_one_that_was_asked() -> None:
    """It need not know its own address; credentials are the same everywhere."""
    answer = [
        [0, 99, [b"", 7001, b"id", []], [b"10.0.0.2", 7002, b"id", []]],
        [100, 199, [b"10.0.0.3", 7003, b"id"]],
        [200, 200, [None, 7004, b"id", []], [b"?", 7005, b"id", []]],
    ]
    assert list(shares(answer, ASKED)) == [
        Share(0, 99, ASKED._replace(port=7001), (ASKED._replace(host="10.0.0.2", port=7002),)),
        Share(100, 199, ASKED._replace(host="10.0.0.3", port=7003), ()),
        Share(200, 200, ASKED._replace(port=7004), (ASKED._replace(port=7005),)),
    ]


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ("MOVED 3999 10.0.0.1:6381", Redirect(3999, ASKED._replace(host="10.0.0.1", port=6381), asks=False)),
        ("MOVED 3999 :6381", Redirect(3999, ASKED._replace(port=6381), asks=False)),
        ("ASK 3999 ::1:6381", Redirect(3999, ASKED._replace(host="::1", port=6381), asks=True)),
        ("CLUSTERDOWN Hash slot not served", None),
        ("ERR MOVED", None),
    ],
)
def test_a_redirect_is_read(said: str, where: Redirect | None) -> None:
    """With the host that is left out where it is the same."""
    assert redirect(RefusedError(said), ASKED) == where
    assert redirect(ConnectionError(said), ASKED) is None
