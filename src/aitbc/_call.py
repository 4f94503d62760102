"""One call of the API as plain data, and what builds it. Nothing here speaks HTTP.

A resource's method returns a ``Call``: what to send, what to expect, and whether sending it twice is safe.
A method that needs several calls is a ``Flow``: a generator that yields what it wants done.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec

from aitbc.exceptions import NotFoundError, ValidationError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: A moment: a datetime with a time zone, or RFC 3339 text.
Time: TypeAlias = datetime | str


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One call. ``answer`` is the type of a 2xx body; an answer without content (204) is read as null.

    ``idempotent`` says that sending it again does no harm. ``extra_wait_s`` is how much longer than other
    calls the server may take, by design. ``fresh_idempotency_key`` asks for a key to be made for this call.
    """

    method: Literal["GET", "POST", "PATCH"]
    path: str
    answer: type[T_co]
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    idempotent: bool = False
    idempotency_key: str | None = None
    fresh_idempotency_key: bool = False
    extra_wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Send:
    """Asks for an HTTP request to be sent. Outcome: a ``Reply``, or the APIConnectionError instead."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)
    timeout_s: float | None
    read_timeout_s: float | None


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, whole. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Sleep:
    """Asks for a wait. Outcome: what a monotonic clock shows after it, in seconds."""

    seconds: float


Effect: TypeAlias = Send | Sleep
#: Steps that end in a T: yields what is to be done, is sent the outcome.
Flow: TypeAlias = Generator[Effect, Any, T]


def path(template: str, **ids: str) -> str:
    """``template`` with each ``{id}`` replaced, percent-encoded, so that an id cannot change the path.

    Raises NotFoundError for the ids that no encoding helps (empty, and the dot segments of RFC 3986,
    section 5.2.4, which HTTP programs remove even when they are encoded).
    """
    for name, value in ids.items():
        if value in {"", ".", ".."}:
            raise NotFoundError(f"nothing has the {name} {value!r}", code="not_found")
    return template.format_map({name: quote(_utf8(value, name), safe="") for name, value in ids.items()})


def query(**parameters: object) -> dict[str, str]:
    """The parameters that are not None, as text. The underscore that ends ``from_`` is not in the name."""
    return {
        name.rstrip("_"): _utf8(text(value, name.rstrip("_")), name).decode()
        for name, value in parameters.items()
        if value is not None
    }


def body(**fields: object) -> dict[str, Any]:
    """The fields that are given: UNSET is left out, None stays, and clears."""
    return {
        name: text(value, name) if isinstance(value, datetime) else _listed(value)
        for name, value in fields.items()
        if value is not msgspec.UNSET
    }


def text(value: object, name: str) -> str:
    """``value`` as the API writes it; times in RFC 3339, UTC, milliseconds.

    Raises ValidationError for a time without a zone: taking it for UTC, or for local time, would each be
    wrong half of the time.
    """
    if not isinstance(value, datetime):
        return str(value)
    if value.tzinfo is None:
        raise ValidationError(
            f"{name} has no time zone: make it with datetime.now(timezone.utc) or .astimezone()",
            code="validation_error",
        )
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode(value: object) -> bytes:
    """``value`` as JSON. Raises ValidationError for what JSON cannot carry, rather than change it.

    msgspec alone would write NaN as null, and the number would be lost without a word.
    """
    try:
        plain = msgspec.to_builtins(value, str_keys=True)
        return json.dumps(plain, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(f"this cannot be sent as JSON: {error}", code="validation_error") from error


def _listed(value: object) -> object:
    """Any iterable of several values as a list, so that a set of scopes or a tuple of addresses will do."""
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _utf8(value: str, name: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise ValidationError(f"{name} is not valid Unicode: {error}", code="validation_error") from error
