"""JSON that others wrote, as a page shows it: indented, harmless to read, and no longer than the page can take."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec
from markupsafe import escape

from aitbc.schemas.common import UNPRINTABLE

#: How many bytes a text may take in the page. One page has several, and 60 KiB in all.
MAX_BYTES = 7_000

# What turns the direction of a text could make it read as something else than it says.
_UNPRINTABLE = re.compile(f"[{UNPRINTABLE}]")
_LINE_BREAK = "\n"


class Excerpt(NamedTuple):
    """A text, or the beginning of one: then ``whole`` is false."""

    text: str
    whole: bool


def excerpt(value: Any, max_bytes: int = MAX_BYTES) -> Excerpt:
    """A JSON value, indented. ``max_bytes`` counts what it takes in HTML, where a quotation mark takes five."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return cut(text, max_bytes)


def cut(text: str, max_bytes: int = MAX_BYTES) -> Excerpt:
    """A text of several lines, with every character in it seen."""
    shown = _UNPRINTABLE.sub(_named, text[:max_bytes])
    while (size := len(escape(shown).encode())) > max_bytes:
        shown = shown[: min(len(shown) - 1, len(shown) * max_bytes // size)]
    return Excerpt(shown, whole=len(text) <= max_bytes and len(shown) >= len(text))


def in_a_line(value: Any, max_characters: int) -> str:
    """A JSON value in one line; a text stands there without quotation marks."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    shown = _UNPRINTABLE.sub(_named, text.replace(_LINE_BREAK, " "))
    return shown if len(shown) <= max_characters else shown[: max_characters - 1] + "…"


def _named(found: re.Match[str]) -> str:
    character = found.group()
    return character if character == _LINE_BREAK else f"\\u{ord(character):04x}"
