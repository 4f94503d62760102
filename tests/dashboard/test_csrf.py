"""Form tokens and where a form says it comes from."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest

from aitbc_server.dashboard.csrf import Csrf, comes_from_here
from aitbc_server.secret_keys import SecretKeys

KEYS = SecretKeys([b"k" * 32])
CSRF = Csrf(KEYS)


def test_a_token_is_right_for_its_session_alone() -> None:
    """ASVS 3.5.1: another session's token, another installation's and an altered one are wrong."""
    token = CSRF.token("ses_1")
    assert CSRF.is_right(token, "ses_1")
    assert not CSRF.is_right(token, "ses_2")
    assert not Csrf(SecretKeys([b"x" * 32])).is_right(token, "ses_1")
    raw = bytearray(base64.urlsafe_b64decode(token))
    for index in range(len(raw)):
        altered = raw.copy()
        altered[index] ^= 1
        assert not CSRF.is_right(base64.urlsafe_b64encode(altered).decode(), "ses_1")


@pytest.mark.parametrize("token", ["", "x", "=", "ä", "a" * 63, "A" * 64, "a\nb", "\x00"])
def test_what_is_no_token_is_wrong(token: str) -> None:
    """Whatever is sent, the answer is no, and no error."""
    assert not CSRF.is_right(token, "ses_1")


def test_no_two_tokens_are_alike() -> None:
    """A page that is compressed on its way gives nothing away: nothing in it stays the same (BREACH)."""
    tokens = sorted(CSRF.token("ses_1") for _ in range(100))
    assert all(one[:8] != other[:8] for one, other in pairwise(tokens))


def test_a_token_outlives_a_new_secret_key() -> None:
    """A page that was open while the secret key was rotated can still be sent."""
    rotated = Csrf(SecretKeys([b"n" * 32, b"k" * 32]))
    assert rotated.is_right(CSRF.token("ses_1"), "ses_1")
    assert not CSRF.is_right(rotated.token("ses_1"), "ses_1")


@pytest.mark.parametrize(
    ("headers", "right"),
    [
        ({"host": "a.example", "origin": "https://a.example"}, True),
        ({"host": "a.example:8443", "origin": "https://a.example:8443"}, True),
        ({"host": "a.example", "sec-fetch-site": "same-origin"}, True),
        ({"host": "a.example", "sec-fetch-site": "none"}, True),
        ({"host": "a.example", "sec-fetch-site": "same-origin", "origin": "https://A.example"}, True),
        ({"host": "10.0.0.1:8000", "origin": "https://public.example"}, True),
        ({"host": "a.example"}, False),
        ({"host": "a.example", "origin": "null"}, False),
        ({"host": "a.example", "origin": ""}, False),
        ({"host": "a.example", "origin": "https://evil.example"}, False),
        ({"host": "a.example", "origin": "https://a.example.evil.example"}, False),
        ({"host": "a.example", "origin": "https://a.example:8443"}, False),
        ({"host": "a.example", "origin": "https://[a.example"}, False),
        ({"host": "a.example", "sec-fetch-site": "same-site", "origin": "https://a.example"}, False),
        ({"host": "a.example", "sec-fetch-site": "cross-site"}, False),
        ({"host": "a.example", "sec-fetch-site": "cross-site", "origin": "https://a.example"}, False),
        ({"host": "a.example", "sec-fetch-site": "same-origin", "origin": "https://evil.example"}, False),
        ({"host": "", "origin": ""}, False),
    ],
)
def test_where_a_form_comes_from(headers: dict[str, str], right: bool) -> None:
    """ASVS 3.5.1, 3.5.3: this very host or the public one; a browser that says nothing is not believed."""
    assert comes_from_here(headers, "https://public.example") is right
