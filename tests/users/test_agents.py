"""Browsers by their names."""

from __future__ import annotations

import pytest

from aitbc_server.users.agents import in_words

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (None, "Unknown browser"),
        ("", "Unknown browser"),
        ("curl/8.0", "curl/8.0"),
        ("x" * 300, "x" * 60),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        (f"Mozilla/5.0 (Linux; Android 15) {WEBKIT} Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) {WEBKIT} Version/18.0 Safari/604.1",
            "Safari on iPhone",
        ),
        ("Chrome/1", "Chrome"),
    ],
)
def test_people_recognise_their_browser(user_agent: str | None, words: str) -> None:
    """ASVS 7.5.2: a list of sessions is of use only to who can tell them apart."""
    assert in_words(user_agent) == words
