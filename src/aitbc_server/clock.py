"""Time, passed in wherever it matters so that tests can turn it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

#: Returns the wall clock in whole microseconds since the epoch (UTC).
Clock = Callable[[], int]

US_PER_S = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def system_clock() -> int:
    """The system's wall clock in microseconds since the epoch."""
    return time.time_ns() // 1000


class Timestamp(datetime):
    """A UTC time as this server speaks it: encoded as RFC 3339 with milliseconds and ``Z``.

    A class of its own, because msgspec writes plain datetimes with microseconds or no fraction at all.
    """

    def text(self) -> str:
        """``2026-11-24T05:46:56.000Z``."""
        return self.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.microsecond // 1000:03d}Z"


def from_ms(milliseconds: int) -> Timestamp:
    """The time that is ``milliseconds`` after the epoch."""
    whole = _EPOCH + timedelta(milliseconds=milliseconds)
    return Timestamp(
        whole.year,
        whole.month,
        whole.day,
        whole.hour,
        whole.minute,
        whole.second,
        whole.microsecond,
        tzinfo=UTC,
    )


def to_ms(moment: datetime) -> int:
    """Whole milliseconds from the epoch to an aware ``moment``. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def now(clock: Clock) -> Timestamp:
    """The clock's time, cut to milliseconds."""
    return from_ms(clock() // 1000)
