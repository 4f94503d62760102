"""Rounds that alternate between systems, so that a drift of the machine meets all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import TypeVar

T = TypeVar("T")


def alternate(names: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """``(0, "A"), (0, "B"), (1, "A"), (1, "B"), ...``"""
    for number in range(rounds):
        for name in names:
            yield number, name


def run_alternating(measures: Mapping[str, Callable[[int], T]], rounds: int) -> dict[str, list[T]]:
    """Call each measure once a round, with the round's number; what they gave, by name and in order."""
    taken: dict[str, list[T]] = {name: [] for name in measures}
    for number, name in alternate(list(measures), rounds):
        taken[name].append(measures[name](number))
    return taken


def ratio_of_medians(subject: Sequence[float], base: Sequence[float]) -> float:
    """The median of ``subject`` over the median of ``base``. Raises ValueError where the base's is not positive."""
    below = median(base)
    if below <= 0:
        raise ValueError("the base of a ratio must be positive")
    return median(subject) / below


def added(subject: Sequence[float], base: Sequence[float]) -> float:
    """By how much the median of ``subject`` is above the median of ``base``."""
    return median(subject) - median(base)
