"""Names for people: something to see, and nothing that disturbs what it is printed in."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, get_args

import pytest

from aitbc.schemas.common import Name
from aitbc_server.errors import DomainError
from aitbc_server.names import check_name, check_title

GOOD = {
    "letters": "gateway",
    "one digit": "7",
    "punctuation": "-",
    "another script": "Schlüssel für 日本",
    "a family of emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "an emoji in colour": "\u2764\ufe0f",
    "Persian with a joiner": "\u0645\u06cc\u200c\u062e\u0648",
    "spaces around": "  a  ",
    "a mark on a letter": "e\u0301",
}
UNSEEN = {
    "empty": "",
    "spaces": "   ",
    "a wide space": "\u3000",
    "no-break spaces": "\u00a0\u202f",
    "zero width space": "\u200b",
    "zero width joiners": "\u200d\u200c",
    "a byte order mark": "\ufeff",
    "a soft hyphen": "\u00ad",
    "a word joiner": "\u2060 \u2063",
    "a Hangul filler": "\u3164\uffa0",
    "a blank braille pattern": "\u2800",
    "a variation selector": "\ufe0f",
    "tags": "\U000e0041\U000e007f",
}
CONTROL = {
    "a line break": "a\nb",
    "a tab": "a\tb",
    "NUL": "a\x00",
    "escape": "\x1b[2J",
    "C1": "a\x9b",
    "a line separator": "a\u2028b",
    "right to left": "a\u202eb",
    "an isolate": "\u2066a",
    "half a surrogate pair": "a\ud800",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_name_is_taken_as_it_is(name: str) -> None:
    """Any script, and the joiners that some need."""
    assert check_name(GOOD[name]) == GOOD[name]


@pytest.mark.parametrize("name", UNSEEN)
def test_a_name_can_be_seen(name: str) -> None:
    """ASVS 2.2.1: a key without a visible name could not be told from another in a list."""
    with pytest.raises(DomainError, match="name: must have a character that can be seen"):
        check_name(UNSEEN[name])


@pytest.mark.parametrize("name", CONTROL)
def test_a_name_does_not_steer_what_it_is_printed_in(name: str) -> None:
    """Logs, tables, terminals; the field is named as the caller knows it."""
    with pytest.raises(DomainError, match="title: must not hold control characters"):
        check_name(CONTROL[name], field="title")


def test_a_title_is_counted() -> None:
    """Where no schema does it."""
    assert check_title("x" * 100) == "x" * 100
    with pytest.raises(DomainError, match="name: must have at most 100 characters"):
        check_title("x" * 101)


def pattern() -> re.Pattern[str]:
    meta: Any = get_args(Name)[1]
    return re.compile(meta.extra_json_schema["pattern"])


@pytest.mark.parametrize("text", [*GOOD.values(), *UNSEEN.values(), *CONTROL.values()])
def test_the_published_pattern_says_the_same(text: str) -> None:
    """Who checks a name against the OpenAPI first meets no surprise; but for what not every dialect can say."""
    if any(ord(character) >= 0xE0000 or unicodedata.category(character) == "Cs" for character in text):
        return
    try:
        taken = bool(check_name(text))
    except DomainError:
        taken = False
    assert (pattern().fullmatch(text) is not None) == taken
