"""What a usage question asks for: a range of whole minutes, and the width of a point."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from aitbc.schemas.usage import Granularity
from aitbc_server.clock import Timestamp, from_ms, to_ms
from aitbc_server.errors import invalid
from aitbc_server.usage.levels import DAY_MS, HOUR_MS, MINUTE_MS, floor

STEP_MS = {Granularity.MINUTE: MINUTE_MS, Granularity.HOUR: HOUR_MS, Granularity.DAY: DAY_MS}
DEFAULT_RANGE = timedelta(hours=24)
MAX_INTERVALS = 1500


class Span(NamedTuple):
    """[from_ms, to_ms), whole minutes, in intervals of ``step_ms``."""

    from_ms: int
    to_ms: int
    granularity: Granularity

    @property
    def step_ms(self) -> int:
        """The width of a point."""
        return STEP_MS[self.granularity]


def span(from_: Timestamp | None, to: Timestamp | None, granularity: Granularity, now: Timestamp) -> Span:
    """The range in whole minutes, which is how finely decisions are counted: it starts and ends no later and no
    earlier than asked for. Without ``to`` it ends now, without ``from`` it starts 24 h before its end.

    Raises ``validation_error`` where it is empty or has more than 1500 intervals.
    """
    end = to or now
    start = from_ or max(end - DEFAULT_RANGE, from_ms(0))
    if to_ms(start) >= to_ms(end):
        raise invalid("from", "expected a time before the end of the range, which is " + end.text())
    first_ms = floor(to_ms(start), MINUTE_MS)
    last_ms = -(-to_ms(end) // MINUTE_MS) * MINUTE_MS
    step_ms = STEP_MS[granularity]
    if -(-last_ms // step_ms) - first_ms // step_ms > MAX_INTERVALS:
        days = MAX_INTERVALS * step_ms / STEP_MS[Granularity.DAY]
        raise invalid(
            "from",
            f"the range has more than {MAX_INTERVALS} intervals: with granularity {granularity} it may be about "
            f"{days:,.0f} {'day' if round(days) == 1 else 'days'} long. Ask for a shorter range or wider intervals",
        )
    return Span(first_ms, last_ms, granularity)
