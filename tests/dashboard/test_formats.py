"""Times, spans and numbers as they read on pages."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aitbc_server.clock import from_ms
from aitbc_server.dashboard import formats

NOW = from_ms(1_795_499_190_123)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (3_599, "59 minutes ago"),
        (3_600, "1 hour ago"),
        (2 * 86_400, "2 days ago"),
        (45 * 86_400, "1 month ago"),
        (800 * 86_400, "2 years ago"),
        (-30, "in less than a minute"),
        (-60, "in 1 minute"),
        (-86_400, "in 1 day"),
    ],
)
def test_how_long_ago(seconds: int, words: str) -> None:
    """In the largest whole unit, both ways."""
    assert formats.relative(NOW - timedelta(seconds=seconds), NOW) == words


def test_a_time_says_its_zone() -> None:
    """For people, and exactly for the script."""
    assert str(formats.time(NOW)) == (
        '<time datetime="2026-11-24T05:46:30.123Z" data-time="time" title="24 Nov 2026, 05:46 UTC">'
        "24 Nov 2026, 05:46 UTC</time>"
    )
    assert "24 Nov 2026</time>" in formats.date(NOW)
    assert formats.time(None, "not yet") == formats.date(None, "not yet") == "not yet"


def test_numbers_are_grouped() -> None:
    """By a space that does not break."""
    assert [formats.grouped(each) for each in (0, 999, 1000, 1_234_567)] == [
        "0",
        "999",
        "1\u202f000",
        "1\u202f234\u202f567",
    ]
