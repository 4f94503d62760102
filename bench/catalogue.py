"""What can be measured: one module a goal, in the order of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bench import p1_check, p5_job, p6_decision, p8_memory, p9_startup
from bench.common.goals import Goal
from bench.common.options import Options
from bench.common.results import Outcome


class Measure(Protocol):
    """What such a module offers."""

    @property
    def GOALS(self) -> Sequence[Goal]:  # noqa: N802
        """The goals that it measures together."""
        ...

    def measure(self, options: Options) -> list[Outcome]:
        """An outcome for each of ``GOALS``. Raises CannotMeasureError, ServerError, LoadError."""
        ...


MEASURES: tuple[Measure, ...] = (p1_check, p5_job, p6_decision, p8_memory, p9_startup)

GOAL_IDS = tuple(goal.id for module in MEASURES for goal in module.GOALS)


def wanted(only: Sequence[str] | None) -> list[Measure]:
    """The modules of these goals; all of them for None."""
    return [each for each in MEASURES if only is None or any(goal.id in only for goal in each.GOALS)]
