"""Much, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_Item = TypeVar("_Item")


def portions(items: Iterable[_Item], size: int) -> Iterator[tuple[_Item, ...]]:
    """The items in order, ``size`` at a time and at the end those that are left: ``itertools.batched`` of Python 3.12.

    No more of them are taken than the portion at hand has.
    """
    rest = iter(items)
    while portion := tuple(islice(rest, size)):
        yield portion
