"""The three tables of counts, which differ in the name of one column."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, type_coerce
from sqlalchemy.orm import InstrumentedAttribute

from aitbc_server.usage.levels import Level
from aitbc_server.usage.model import UsageCountRow, UsageDayRow, UsageHourRow, UsageMinuteRow


class CountTable(NamedTuple):
    """A table of counts: its model, and the column that says when an interval starts."""

    model: type[UsageCountRow]
    start: InstrumentedAttribute[Any]

    @property
    def start_ms(self) -> ColumnElement[int]:
        """The start of the interval, in milliseconds."""
        return type_coerce(self.start, BigInteger)


TABLES = {
    Level.MINUTE: CountTable(UsageMinuteRow, UsageMinuteRow.minute),
    Level.HOUR: CountTable(UsageHourRow, UsageHourRow.hour),
    Level.DAY: CountTable(UsageDayRow, UsageDayRow.day),
}
#: What each level is summed up from.
BELOW = {Level.HOUR: Level.MINUTE, Level.DAY: Level.HOUR}
#: What each level is summed up to.
ABOVE = {below: level for level, below in BELOW.items()}
