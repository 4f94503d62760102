"""Cursors: opaque, of their list alone, and refused when altered."""

from __future__ import annotations

import base64
import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitbc.schemas.scopes import Environment
from aitbc_server.clock import from_ms
from aitbc_server.errors import Code, DomainError
from aitbc_server.pagination import Cursors, cut, listing
from aitbc_server.secret_keys import SecretKeys

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)
CURSORS = Cursors(SecretKeys([NEW]))
AT = from_ms(1_800_000_000_123)
CURSOR = CURSORS.encode("jobs:acme", AT, "job_1")


@given(st.text(max_size=50), st.integers(0, 250_000_000_000_000), st.text(st.characters(codec="utf-8"), max_size=80))
def test_what_went_in_comes_out(listing: str, milliseconds: int, object_id: str) -> None:
    """Any list, time and id; the cursor itself fits into a URL as it is."""
    cursor = CURSORS.encode(listing, from_ms(milliseconds), object_id)
    assert CURSORS.decode(listing, cursor) == (from_ms(milliseconds), object_id)
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def refused(listing: str, cursor: str, cursors: Cursors = CURSORS) -> bool:
    with pytest.raises(DomainError) as raised:
        cursors.decode(listing, cursor)
    return raised.value.code is Code.BAD_REQUEST


def test_every_altered_character_is_noticed() -> None:
    """Also one that base64 would read as the same bytes; nothing of it is used before. (ASVS 9.1.1)"""
    for position, character in enumerate(CURSOR):
        for other in "Aa0_-":
            if other != character:
                assert refused("jobs:acme", CURSOR[:position] + other + CURSOR[position + 1 :])


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "=", CURSOR + "=", CURSOR + "A", CURSOR[:-4], " " + CURSOR, "é" * 20, "\x00", "A" * 10_000],
    # Each process has a cursor of its own, and all of them must know the tests by the same names.
    ids=["empty", "x", "=", "padded", "longer", "shorter", "spaced", "not ASCII", "NUL", "huge"],
)
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    """400, whatever it is."""
    assert refused("jobs:acme", cursor)


def test_a_cursor_is_bound_to_its_list_and_installation() -> None:
    """Another tenant's list, another kind of list, another installation: none of them takes it."""
    assert refused("jobs:globex", CURSOR)
    assert refused("api_keys:acme", CURSOR)
    assert refused("jobs:acme", CURSOR, Cursors(SecretKeys([OLD])))


LIST = ("api_keys", "acme", "live", Environment.TEST, None, None, AT)


@pytest.mark.parametrize("place", range(len(LIST)))
def test_a_cursor_is_bound_to_the_filters_of_its_list(place: int) -> None:
    """With another filter, or one that moved from a name to the next, it is a cursor of another list."""
    cursor = CURSORS.encode(listing(*LIST), AT, "key_1")
    assert CURSORS.decode(listing(*LIST), cursor) == (AT, "key_1")
    for other in ("x", None, '","'):
        changed: list[Any] = list(LIST)
        changed[place] = other
        if changed != list(LIST):
            assert refused(listing(*changed), cursor)
    shifted: list[Any] = [*LIST[:place], None, *LIST[place:-1]]
    assert shifted == list(LIST) or refused(listing(*shifted), cursor)


def test_a_cursor_outlives_a_new_secret_key() -> None:
    """While the old one is still in force, a list that was begun goes on."""
    begun = Cursors(SecretKeys([OLD])).encode("jobs:acme", AT, "job_1")
    assert Cursors(SecretKeys([NEW, OLD])).decode("jobs:acme", begun) == (AT, "job_1")


def test_it_shows_no_more_than_the_client_has() -> None:
    """Only the time and the id of an object that was shown; nothing of the key that protects it."""
    raw = base64.urlsafe_b64decode(CURSOR + "=" * (-len(CURSOR) % 4))
    assert NEW not in raw
    assert raw.endswith(b"job_1")


def test_one_row_more_tells_that_there_are_more() -> None:
    """The row that was asked for beyond the page is not shown."""
    assert cut([1, 2, 3], 2) == ([1, 2], True)
    assert cut([1, 2], 2) == ([1, 2], False)
    assert cut([], 2) == ([], False)
