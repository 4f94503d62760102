"""Turns what msgspec says of a wrong value into a field's dotted path and words that people read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import inspect

from aitbc.schemas.common import TENANT_ID_PATTERN
from aitbc.schemas.miners import MINER_ID_PATTERN
from aitbc.schemas.problem import FieldError
from aitbc_server.errors import DomainError, invalid

#: The field of a whole body that is wrong.
BODY = "body"

#: Of a number that no float holds.
TOO_LARGE = "is a number too large to be kept"

#: Of headers, and of ids and names in a query: no database takes every character, and none of ours has others.
PRINTABLE_PATTERN = "^[ -~]+$"
VISIBLE_PATTERN = "^[!-~]*$"

# What a text must be, by the pattern that it did not match, as msgspec quotes it.
_PATTERNS = {
    repr(PRINTABLE_PATTERN): "must be printable ASCII characters only",
    repr(VISIBLE_PATTERN): "must be printable ASCII characters only, without spaces",
    repr(TENANT_ID_PATTERN): "must be 1 to 63 lower case letters, digits and hyphens, without a hyphen at either end",
    repr(MINER_ID_PATTERN): "must be 1 to 100 letters, digits and . _ : - beginning with a letter or a digit",
}

# A caller's own text comes back in messages: a megabyte of it helps nobody.
_MAX_MESSAGE = 300

_TYPES = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "datetime": "a time in RFC 3339 such as 2030-01-31T12:00:00Z",
}
_UNITS = {"str": " characters", "array": " items", "object": " entries"}
_BOUNDS = {">=": "at least ", "<=": "at most ", ">": "more than ", "<": "less than ", "==": "exactly "}

_LOCATION = re.compile(r" - at `(key in )?\$(.*)`\Z", re.DOTALL)
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`\Z", re.DOTALL)
_SENTENCES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(r"Expected `datetime` with a timezone.*"),
        lambda _: "must have a time zone, as in 2030-01-31T12:00:00Z",
    ),
    (re.compile(r"Expected `(.*)`, got `(.*)`"), lambda m: f"must be {_kinds(m[1])}, not {_kinds(m[2])}"),
    (
        re.compile(r"Expected `(\w+)(?: \| null)?` of length (\S+) (\d+)"),
        lambda m: (
            "must not be empty"
            if (m[2], m[3]) == (">=", "1")
            else f"must have {_BOUNDS[m[2]]}{m[3]}{_UNITS.get(m[1], '')}"
        ),
    ),
    (re.compile(r"Expected `[^`]*` (>=|<=|>|<) (\S+)"), lambda m: f"must be {_BOUNDS[m[1]]}{m[2].removesuffix('.0')}"),
    (
        re.compile(r"Expected `str` matching regex (.*)", re.DOTALL),
        lambda m: _PATTERNS.get(m[1], f"must match the pattern {m[1]}"),
    ),
    (re.compile(r"Invalid RFC3339 encoded datetime"), lambda _: f"must be {_TYPES['datetime']}"),
    (re.compile(r"(?:Number|Integer value) out of range"), lambda _: TOO_LARGE),
)


def field_error(message: str, wanted: Any = None, root: str = "") -> FieldError:
    """The field and the words for a ``msgspec.ValidationError``'s text.

    ``wanted`` is the type that was asked for: it lets a wrong enum value name the right ones. ``root`` is the path of
    the value that was converted; a body's own is "".
    """
    location = _LOCATION.search(message)
    steps = _steps(location[2]) if location else []
    text = message[: location.start()] if location else message
    named = _FIELD.match(text)
    if named is not None:
        steps.append(named[2])
        words = "is required" if named[1] == "missing required" else "is not a field that is known here"
    else:
        words = _words(text, wanted, steps)
    path = ".".join(filter(None, [root, *steps])) or BODY
    return FieldError(field=cut(path), message=cut(words))


def refused(error: msgspec.ValidationError, wanted: Any) -> DomainError:
    """The ``validation_error`` for a body that is not of the type ``wanted``."""
    wrong = field_error(str(error), wanted)
    return invalid(wrong.field, wrong.message)


def _steps(path: str) -> list[str]:
    """``.constraints.models[0]`` as ["constraints", "models", "0"]; a step into unknown names is left out."""
    return [step for step in re.split(r"[.\[\]]+", path) if step]


def _words(text: str, wanted: Any, steps: list[str]) -> str:
    if text.startswith("Invalid enum value"):
        value = text.removeprefix("Invalid enum value ")
        allowed = ", ".join(_choices(inspect.type_info(wanted), steps)) if wanted is not None else ""
        return f"must be one of {allowed}" if allowed else f"{value} is not a value that is known here"
    for pattern, sentence in _SENTENCES:
        match = pattern.fullmatch(text)
        if match is not None:
            return sentence(match)
    return text


def _kinds(names: str) -> str:
    return " or ".join(_TYPES.get(name, name) for name in names.split(" | "))


def _choices(kind: inspect.Type, steps: list[str]) -> Iterator[str]:
    """The values that an enum or a Literal at ``steps`` within ``kind`` takes."""
    if isinstance(kind, inspect.Metadata):
        yield from _choices(kind.type, steps)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _choices(each, steps)
    elif isinstance(kind, inspect.EnumType) and not steps:
        yield from (str(member.value) for member in kind.cls)
    elif isinstance(kind, inspect.LiteralType) and not steps:
        yield from map(str, kind.values)
    elif isinstance(kind, inspect.ListType) and steps:
        yield from _choices(kind.item_type, steps[1:])
    elif isinstance(kind, inspect.StructType) and steps:
        for field in kind.fields:
            if field.encode_name == steps[0]:
                yield from _choices(field.type, steps[1:])


def cut(text: str) -> str:
    """A caller's own text, short enough to come back in a message."""
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "…"
