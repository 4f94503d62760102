"""What free-form JSON may hold, whatever its fields mean: what both databases can keep and give back unchanged.

Schemas check the shape of a request. Where a field is the caller's own JSON (payloads, metadata, results), this is
all that is checked (ASVS 2.2.1, 1.5.3 for what other parsers would read differently).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from aitbc_server.errors import invalid

#: The largest request body.
MAX_BODY_BYTES = 1024 * 1024

#: Objects and arrays inside one another. Parsers and printers that recurse stay far from their own limits.
MAX_DEPTH = 100

# What every JSON reader keeps exactly as an integer of its own: signed and unsigned 64 bits.
_MIN_INTEGER = -(2**63)
_MAX_INTEGER = 2**64 - 1


def check_json(field: str, value: Any, *, max_bytes: int | None = None) -> None:
    """Refuse what cannot be stored or read back safely; ``field`` is the dotted path that the error names.

    ``value`` is parsed JSON; ``max_bytes`` limits its compact UTF-8 form. Raises ``validation_error`` for nesting
    deeper than ``MAX_DEPTH``, for NUL and lone surrogates in strings or names, for numbers that are not finite,
    for integers over 64 bits and for what is larger than ``max_bytes``.
    """
    level: list[Any] = [value]
    depth = 0
    while level:
        if depth >= MAX_DEPTH and any(isinstance(each, dict | list) for each in level):
            raise invalid(field, f"is nested deeper than {MAX_DEPTH} levels")
        for each in level:
            _check_scalar(field, each)
        level = [child for each in level for child in _children(each)]
        depth += 1
    if max_bytes is not None:
        _check_size(field, value, max_bytes)


def check_text(field: str, text: str) -> None:
    """Refuse text that PostgreSQL or UTF-8 cannot hold: NUL and lone surrogates. Raises ``validation_error``."""
    if "\x00" in text:
        raise invalid(field, "holds a NUL character (\\u0000), which cannot be stored")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise invalid(field, "holds half of a surrogate pair, which is no character")


def _children(value: Any) -> Iterable[Any]:
    # Names are checked as strings, one level below their object like its values.
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else ()


def _check_scalar(field: str, value: Any) -> None:
    if isinstance(value, str):
        check_text(field, value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise invalid(field, "holds a number that is not finite")
    elif isinstance(value, int) and not _MIN_INTEGER <= value <= _MAX_INTEGER:
        raise invalid(field, "holds an integer of more than 64 bits; send it as a string")


def _check_size(field: str, value: Any, max_bytes: int) -> None:
    size = len(msgspec.json.encode(value))
    if size > max_bytes:
        raise invalid(field, f"is {size} bytes as JSON; {max_bytes} are allowed")
