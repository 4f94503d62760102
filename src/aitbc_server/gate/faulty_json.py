"""What is wrong with a body that the JSON decoder refused, where the decoder itself says too little or another thing.

Bodies that are right never come here, so that nothing of this is on anybody's way.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

# All before an escaped half of a surrogate pair that stands alone. It steps over whole pairs and other escapes, so that
# none is taken for the beginning or the end of another, and never goes back.
_BEFORE_HALF = re.compile(
    rb"(?:[^\\]++|\\(?!u[dD][89a-fA-F]).|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)*+(?=(\\u[0-9a-fA-F]{4}))", re.DOTALL
)
_SEARCHED_BYTES = 64 * 1024
_NO_JSON = "The body is not valid JSON: "


def why_unreadable(body: bytes, reason: str) -> str:
    """Why a body could not be decoded at all, for people; ``reason`` is the decoder's own text.

    Positions are counted in bytes, from 0.
    """
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"The body is not in UTF-8: the byte at position {error.start} belongs to no character."
    if "surrogate" in reason or "truncated" in reason:
        # Of a half pair at the end of a string the decoder says that the body is truncated.
        half = _BEFORE_HALF.match(body)
        if half is not None:
            where = f"{half[1].decode()} at position {half.end()}"
            return f"{_NO_JSON}{where} is half of a surrogate pair, which is no character."
    if "truncated" in reason:
        return f"{_NO_JSON}it ends before its time."
    return f"{_NO_JSON}{reason.removeprefix('JSON is malformed: ')}."


class _Place(NamedTuple):
    """A value of a document; the steps to it are those of ``parent``, and ``step``."""

    value: Any
    step: str
    parent: _Place | None

    def path(self) -> str:
        """The dotted path, with the place in a list."""
        steps: list[str] = []
        place: _Place | None = self
        while place is not None:
            steps.append(place.step)
            place = place.parent
        return ".".join(filter(None, reversed(steps)))


class _Object(NamedTuple):
    """An object as it is written: two values of one name are both there."""

    pairs: list[tuple[str, Any]]


_HUGE = object()


def path_of_huge_number(body: bytes) -> str | None:
    """The dotted path of the first number that is too large for a float; None where it cannot be told.

    The decoder names no step into what is the caller's own JSON. In a large body nobody looks for it: that would take
    a second of a server that others wait for.
    """
    if len(body) > _SEARCHED_BYTES:
        return None
    try:
        root = json.loads(body, parse_int=_number, parse_float=_number, object_pairs_hook=_Object)
    except (ValueError, RecursionError):
        # The decoder stopped before whatever is wrong behind the number.
        return None
    return next((place.path() or None for place in _places(root) if place.value is _HUGE), None)


def _places(root: Any) -> Iterator[_Place]:
    """Every value, in the order of the document."""
    waiting = [_Place(root, "", None)]
    while waiting:  # pragma: no branch - what is looked for is always there
        place = waiting.pop()
        yield place
        # The last in the list is the next.
        waiting.extend(reversed([_Place(value, step, place) for step, value in _steps(place.value)]))


def _number(text: str) -> object:
    return _HUGE if math.isinf(float(text)) else None


def _steps(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, _Object):
        return value.pairs
    return [(str(index), each) for index, each in enumerate(value)] if isinstance(value, list) else []
