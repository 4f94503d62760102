"""Usage: one count per decision of a known key, by minute; by hour and day, summed up from those."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.db.base import Base
from aitbc_server.db.types import Kid, TenantIdColumn, Time

# A table without a row id lies on the disk in the order of its key: a range of hours is read in one go.
_SUMS: dict[str, Any] = {"sqlite_with_rowid": False}


class UsageCountRow(Base):
    """How many decisions of one kind a key had in one interval. What all three tables have.

    ``source`` names the counter that the number comes from: a run of a store, whose counters are cumulative
    within a minute, so that reading them twice counts nothing twice.
    """

    __abstract__ = True

    # Before the start of the interval, a column of each table's own; those without an order come behind it.
    tenant_id: Mapped[TenantIdColumn] = mapped_column(primary_key=True, sort_order=-1)
    environment: Mapped[str] = mapped_column(String(4), primary_key=True, sort_order=-1)
    kid: Mapped[Kid] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(String(32), primary_key=True)
    operation: Mapped[str] = mapped_column(String(64), primary_key=True)
    source: Mapped[str] = mapped_column(String(40), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


class UsageMinuteRow(UsageCountRow):
    """The decisions of one minute. On PostgreSQL the table has a partition for each day."""

    __tablename__ = "usage_minutes"
    # What was refused lately is looked for often, and is little among much.
    __table_args__ = (
        Index(
            "ix_usage_minutes_refused",
            "tenant_id",
            "environment",
            "minute",
            "kid",
            sqlite_where=text("outcome <> 'allowed'"),
            postgresql_where=text("outcome <> 'allowed'"),
        ),
    )

    minute: Mapped[Time] = mapped_column(primary_key=True)


class UsageHourRow(UsageCountRow):
    """The sum of an hour's minutes, still by source: so the larger number wins here too, and no sum counts twice."""

    __tablename__ = "usage_hours"
    __table_args__ = _SUMS

    hour: Mapped[Time] = mapped_column(primary_key=True)


class UsageDayRow(UsageCountRow):
    """The sum of the hours of a day in UTC, by source."""

    __tablename__ = "usage_days"
    __table_args__ = _SUMS

    day: Mapped[Time] = mapped_column(primary_key=True)


class UsageMarkRow(Base):
    """An hour or a day of a tenant whose sum is not what it is made of: as long as it stands, that is asked instead.

    Whoever stores counts of a minute marks its hour in the same transaction, and whoever sums up an hour takes its
    mark away and marks the day.
    """

    __tablename__ = "usage_marks"
    __table_args__ = (Index("ix_usage_marks_due", "width", "start"),)

    tenant_id: Mapped[TenantIdColumn] = mapped_column(primary_key=True)
    width: Mapped[str] = mapped_column(String(4), primary_key=True)
    start: Mapped[Time] = mapped_column(primary_key=True)
