"""Column types for times and ids, in this one place."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, Dialect, Integer, String
from sqlalchemy.orm import mapped_column
from sqlalchemy.types import TypeDecorator

from aitbc_server.clock import Timestamp, from_ms, to_ms


class TimestampColumn(TypeDecorator[Timestamp]):
    """A UTC time, stored as whole milliseconds since the epoch: the same on every database, ordered, exact."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Store an aware time. Raises ValueError for a naive one."""
        return None if value is None else to_ms(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Timestamp | None:
        """Read a time back as UTC."""
        return None if value is None else from_ms(value)


# SQLite counts rows by itself only in a column that is declared INTEGER.
RowId = BigInteger().with_variant(Integer(), "sqlite")

Time = Annotated[Timestamp, mapped_column(TimestampColumn())]
OptionalTime = Annotated[Timestamp | None, mapped_column(TimestampColumn())]
TenantIdColumn = Annotated[str, mapped_column(String(63))]
Kid = Annotated[str, mapped_column(String(12))]
Json = Annotated[Any, mapped_column(JSON())]
OptionalJson = Annotated[Any, mapped_column(JSON(none_as_null=True), nullable=True)]
