"""What of a database travels, and how its values are written.

Every table travels but those named here. Values are written as the database has them: times as milliseconds since the
epoch, bytes as base64, JSON as it is; so nothing is lost on the way, and no digest stops matching.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    cast,
    select,
)
from sqlalchemy.types import TypeEngine, UserDefinedType

from aitbc_server.db.metadata import metadata
from aitbc_server.db.types import TimestampColumn

#: What stays behind, and why.
LEFT_BEHIND = {
    "fence_outbox": "it belongs to the caches of the servers that run",
    "sessions": "people sign in again: a browser's session is for the server that it was made at",
    "user_links": "links of mails may open an account; whoever waits for one asks for another",
    "device_grants": "a sign-in from a command line lives for minutes",
    "mails": "they may hold links, and must not be sent twice",
}


class _JsonText(UserDefinedType[str]):
    """A JSON column as the text that it holds."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        """As both databases call it."""
        return "JSON"


class TravellingTable:
    """A table as it travels: plain columns without models, and both ways between its rows and lines."""

    def __init__(self, table: Table) -> None:
        # SQLAlchemy's names are texts of a class of their own.
        self.name = str(table.name)
        columns = [Column(each.name, _plain(each.type), primary_key=each.primary_key) for each in table.columns]
        self.table = Table(table.name, MetaData(), *columns)
        self.columns = tuple(str(each.name) for each in table.columns)
        self._json = [at for at, each in enumerate(table.columns) if isinstance(each.type, JSON)]
        self._nullable = tuple(bool(each.nullable) for each in table.columns)

    @property
    def everything(self) -> Select[Any]:
        """All rows, in the order of their key: an export of the same rows is the same file."""
        # As text on every database: one of the drivers parses JSON by itself.
        columns = [
            cast(each, Text).label(each.name) if isinstance(each.type, _JsonText) else each for each in self.table.c
        ]
        return select(*columns).order_by(*self.table.primary_key.columns)

    @cached_property
    def decode(self) -> Callable[[bytes], Sequence[Any]]:
        """A row from its line. Raises msgspec.DecodeError for one that this table cannot have."""
        types = [_decoded(each.type, nullable) for each, nullable in zip(self.table.c, self._nullable, strict=True)]
        return msgspec.json.Decoder(tuple[tuple(types)]).decode  # type: ignore[misc]

    def to_line(self, row: Sequence[Any]) -> bytes:
        """A row of ``everything`` as a line, without its end."""
        values = list(row)
        for at in self._json:
            if values[at] is not None:
                values[at] = msgspec.Raw(_one_line(values[at]))
        return msgspec.json.encode(values)

    def to_parameters(self, values: Sequence[Any]) -> dict[str, Any]:
        """A row that was decoded, as the parameters of an INSERT."""
        row = dict(zip(self.columns, values, strict=True))
        for at in self._json:
            text = bytes(values[at]).decode()
            row[self.columns[at]] = None if text == "null" and self._nullable[at] else text
        return row


def _plain(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    if isinstance(kind, TimestampColumn):
        return BigInteger()
    return _JsonText() if isinstance(kind, JSON) else kind


def _decoded(kind: TypeEngine[Any], nullable: bool) -> Any:
    if isinstance(kind, _JsonText):
        return msgspec.Raw
    found: Any = str
    if isinstance(kind, Boolean):
        found = bool
    elif isinstance(kind, Integer):
        found = int
    elif isinstance(kind, Float):
        found = float
    elif isinstance(kind, LargeBinary):
        found = bytes
    return found | None if nullable else found


def _one_line(text: str) -> bytes:
    # A database keeps JSON as it was written, with line breaks where somebody wrote some.
    return text.encode() if "\n" not in text else msgspec.json.encode(msgspec.json.decode(text))


#: In an order in which each row finds what it points at.
TABLES: tuple[TravellingTable, ...] = tuple(
    TravellingTable(table) for table in metadata.sorted_tables if table.name not in LEFT_BEHIND
)
