"""Which rows of a feed its reader has not read yet, where a smaller id may be committed after a larger one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

#: So long an id that was passed over is looked for. A change that is undone leaves a hole that nothing ever fills.
LOOKED_FOR_US = 3600 * 1_000_000
#: So many ranges of them; the oldest are forgotten first.
MAX_GAPS = 1000


class Gap(NamedTuple):
    """Ids that were passed over, the first and the last of them, and when."""

    first: int
    last: int
    since_us: int


class Unread:
    """Where one reader of the feed is: everything behind ``after`` is new to it, and so is what it passed over.

    Ids are given out in order, and committed in any: "later than the last" alone would miss a row whose transaction
    took its id earlier and committed later, and a margin of time would only be as right as that transaction is quick.
    So ids that were not there when a larger one was read are kept as gaps, and are looked for again. A row is there
    from its commit until a minute after it was drained, which is longer than from one look to the next: whatever was
    committed is read, and once.
    """

    def __init__(self) -> None:
        self.after = 0
        # In the order of their ids; no two touch.
        self._gaps: list[Gap] = []

    def gaps(self, now_us: int) -> Sequence[Gap]:
        """What was passed over and is still looked for."""
        if any(now_us - gap.since_us > LOOKED_FOR_US for gap in self._gaps):
            self._gaps = [gap for gap in self._gaps if now_us - gap.since_us <= LOOKED_FOR_US]
        return tuple(self._gaps)

    def read(self, row_id: int, now_us: int) -> bool:
        """A row with this id was met; whether it is new."""
        if row_id > self.after:
            if row_id > self.after + 1:
                self._add(Gap(self.after + 1, row_id - 1, now_us))
            self.after = row_id
            return True
        at = bisect_right(self._gaps, row_id, key=lambda gap: gap.first) - 1
        if at < 0 or row_id > self._gaps[at].last:
            return False
        gap = self._gaps[at]
        left, right = gap._replace(last=row_id - 1), gap._replace(first=row_id + 1)
        self._gaps[at : at + 1] = [part for part in (left, right) if part.first <= part.last]
        return True

    def _add(self, gap: Gap) -> None:
        self._gaps.append(gap)
        if len(self._gaps) > MAX_GAPS:
            self._gaps.remove(min(self._gaps, key=lambda each: each.since_us))
