"""Bases and small types that every resource shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")

#: A JSON object whose keys and values are the caller's own.
JsonObject = dict[str, Any]

#: The same in a request, where it must be what every reader keeps as it is.
FreeJson = Annotated[
    dict[str, Any],
    Meta(description="Any JSON object: integers of at most 64 bits, no NUL character, at most 100 levels deep."),
]

TENANT_ID_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"

TenantId = Annotated[
    str, Meta(pattern=TENANT_ID_PATTERN, description="A tenant's slug: lower case letters, digits, hyphens.")
]
#: In no name: control characters, separators of lines, and what turns the direction of a text.
UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069"
#: In a name, but not alone: spaces, what Unicode lets fonts leave out (Default_Ignorable_Code_Point), a blank pattern.
UNSEEN = (
    UNPRINTABLE + r"\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u206f\u2800"
    r"\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
)
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        description="A name for people: 1 to 100 characters, one or more that can be seen, no control characters.",
        extra_json_schema={"pattern": f"^[^{UNPRINTABLE}]*[^{UNSEEN}][^{UNPRINTABLE}]*$"},
    ),
]
#: A time in an answer: RFC 3339, UTC, milliseconds, ``Z``.
Time = Annotated[datetime, Meta(tz=True, extra_json_schema={"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"})]
LimitPerMinute = Annotated[int, Meta(ge=1, le=10_000_000, description="Requests allowed in any 60 seconds.")]


class Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of every request body. Unknown fields are refused."""


class NoFields(Request):
    """The body of what needs nothing but its path: left out, or an empty object."""


class Response(msgspec.Struct, kw_only=True):
    """Base of every answer. Attributes are typed; ``obj["field"]``, ``"field" in obj``, ``dict(obj)`` work.

    The names in brackets are those of the JSON (``usage["from"]``); fields that the answer left out are not
    there.
    """

    def __getitem__(self, field: str) -> Any:
        return self._present()[field]

    def __contains__(self, field: object) -> bool:
        return field in self._present()

    def __iter__(self) -> Iterator[str]:
        return iter(self._present())

    def keys(self) -> Iterator[str]:
        """The names of the fields that are there, so that ``dict(obj)`` works."""
        return iter(self._present())

    def get(self, field: str, default: Any = None) -> Any:
        """The field's value, or ``default`` where there is no such field."""
        return self._present().get(field, default)

    def _present(self) -> dict[str, Any]:
        values = ((name, getattr(self, field)) for name, field in self._names())
        return {name: value for name, value in values if value is not msgspec.UNSET}

    @classmethod
    def _names(cls) -> Iterator[tuple[str, str]]:
        return zip(cls.__struct_encode_fields__, cls.__struct_fields__, strict=True)


def known(values: Iterable[str]) -> Meta:
    """For a field of an answer: the values that this release knows.

    Such a field is typed as text, not as an enum, so that an SDK goes on reading when a newer server has one more.
    Members of a StrEnum compare equal to their text.
    """
    names = [str(value) for value in values]
    return Meta(description=f"One of {', '.join(names)}; later releases may add to them.", examples=list(names))


class Page(Response, Generic[T]):
    """One page of a list, newest first. ``next_cursor`` is opaque and null on the last page."""

    items: list[T]
    next_cursor: str | None = None


class Status(Response):
    """The acknowledgement ``{"status": "ok"}``."""

    status: str = "ok"
