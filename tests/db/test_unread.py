"""Reading a feed whose ids are committed in any order: everything once, nothing never."""

from __future__ import annotations

import random

import pytest

from aitbc_server.db.unread import LOOKED_FOR_US, MAX_GAPS, Unread


class Feed:
    """A table as its reader sees it: changes take ids in order, and commit, are undone and are purged in any order."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._last = 0
        self._open: list[int] = []
        self.committed: set[int] = set()
        self.rows: set[int] = set()

    def step(self) -> None:
        """One thing that some process does."""
        what = self._rng.random()
        if what < 0.5 or not self._open:
            for _ in range(self._rng.choice((1, 1, 1, 5))):
                self._last += 1
                self._open.append(self._last)
            return
        row_id = self._open.pop(self._rng.randrange(len(self._open)))
        if what < 0.95:
            self.rows.add(row_id)
            self.committed.add(row_id)

    def end(self) -> None:
        """Whatever is under way commits."""
        self.rows.update(self._open)
        self.committed.update(self._open)


def look(unread: Unread, feed: Feed, portion: int) -> list[int]:
    """What a reader finds that asks for gaps and for what is later, a portion at a time."""
    found = []
    for gap in unread.gaps(0):
        found += [each for each in sorted(feed.rows) if gap.first <= each <= gap.last and unread.read(each, 0)]
    while later := [each for each in sorted(feed.rows) if each > unread.after][:portion]:
        found += [each for each in later if unread.read(each, 0)]
        # Between two portions others go on.
        feed.step()
    return found


@pytest.mark.parametrize("seed", range(50))
def test_every_row_is_new_once_however_late_it_is_committed(seed: int) -> None:
    """Design 6: no order of commits, and no change that is undone, hides a row from a node that looks again."""
    rng = random.Random(seed)
    feed, unread = Feed(rng), Unread()
    found: list[int] = []
    for _ in range(60):
        for _ in range(rng.randrange(8)):
            feed.step()
        before = set(feed.rows)
        found += look(unread, feed, rng.choice((1, 3, 100)))
        # What was there at the look is drained and purged before the next one, as nothing but a long pause allows.
        feed.rows -= {each for each in before if rng.random() < 0.5}
    feed.end()
    found += look(unread, feed, 100)
    assert sorted(found) == sorted(set(found))
    assert set(found) == feed.committed


def test_what_is_passed_over_is_looked_for_as_long_as_a_change_may_take() -> None:
    """And not for ever: a change that was undone leaves a hole that nothing fills."""
    unread = Unread()
    assert [unread.read(each, 0) for each in (2, 5)] == [True, True]
    assert [gap[:2] for gap in unread.gaps(LOOKED_FOR_US)] == [(1, 1), (3, 4)]
    assert unread.read(3, LOOKED_FOR_US)
    assert not unread.read(3, LOOKED_FOR_US)
    assert [gap[:2] for gap in unread.gaps(LOOKED_FOR_US)] == [(1, 1), (4, 4)]
    assert unread.gaps(LOOKED_FOR_US + 1) == ()
    assert not unread.read(4, LOOKED_FOR_US + 1)


def test_no_more_than_so_many_gaps_are_kept() -> None:
    """A database on which changes are undone all the time costs a node neither memory nor ever longer questions."""
    unread = Unread()
    for row_id in range(2, 2 * MAX_GAPS + 10, 2):
        unread.read(row_id, row_id)
    gaps = unread.gaps(0)
    assert (len(gaps), gaps[-1].last) == (MAX_GAPS, unread.after - 1)
