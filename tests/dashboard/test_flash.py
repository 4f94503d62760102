"""A word for the next page: ours alone, shown once."""

from __future__ import annotations

import pytest

from aitbc_server.dashboard.flash import Flash, Flashes
from aitbc_server.secret_keys import SecretKeys

FLASHES = Flashes(SecretKeys([b"k" * 32]))


def test_a_word_arrives() -> None:
    """As it was sent, also after the secret key was rotated; a long one is cut."""
    sealed = FLASHES.seal(Flash("Saved: “ü”.", "warning"))
    assert FLASHES.open(sealed) == Flash("Saved: “ü”.", "warning")
    assert Flashes(SecretKeys([b"n" * 32, b"k" * 32])).open(sealed) == Flash("Saved: “ü”.", "warning")
    assert len(FLASHES.seal(Flash("x" * 10_000))) < 1_000


@pytest.mark.parametrize("value", ["", "x", "WyJoaSIsInN1Y2Nlc3MiXQ", "ä", "a" * 5_000, "="])
def test_words_of_others_are_not_shown(value: str) -> None:
    """ASVS 1.2.1: nobody puts words into our mouth by a cookie."""
    assert FLASHES.open(value) is None
    assert Flashes(SecretKeys([b"x" * 32])).open(FLASHES.seal(Flash("hi"))) is None


def test_an_altered_word_is_none() -> None:
    """Any character of it."""
    sealed = FLASHES.seal(Flash("hi"))
    for index, character in enumerate(sealed):
        altered = sealed[:index] + ("A" if character != "A" else "B") + sealed[index + 1 :]
        assert FLASHES.open(altered) is None
