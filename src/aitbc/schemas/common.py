"""Bases and small types that every resource shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")

#: A JSON object whose keys and values are the caller's own.
JsonObject = dict[str, Any]

TENANT_ID_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"

TenantId = Annotated[
    str, Meta(pattern=TENANT_ID_PATTERN, description="A tenant's slug: lower case letters, digits, hyphens.")
]
Name = Annotated[str, Meta(min_length=1, max_length=100, description="A name for people, 1 to 100 characters.")]
LimitPerMinute = Annotated[int, Meta(ge=1, le=10_000_000, description="Requests allowed in any 60 seconds.")]


class Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of every request body. Unknown fields are refused."""


class Response(msgspec.Struct, kw_only=True):
    """Base of every answer. Attributes are typed; ``obj["field"]`` and ``dict(obj)`` work too."""

    def __getitem__(self, field: str) -> Any:
        if field not in self.__struct_fields__:
            raise KeyError(field)
        return getattr(self, field)

    def keys(self) -> Iterator[str]:
        """The field names, so that ``dict(obj)`` works."""
        return iter(self.__struct_fields__)

    def get(self, field: str, default: Any = None) -> Any:
        """The field's value, or ``default`` where there is no such field."""
        return getattr(self, field) if field in self.__struct_fields__ else default


class Page(Response, Generic[T]):
    """One page of a list, newest first. ``next_cursor`` is opaque and null on the last page."""

    items: list[T]
    next_cursor: str | None = None


class Status(Response):
    """The acknowledgement ``{"status": "ok"}``."""

    status: str = "ok"
