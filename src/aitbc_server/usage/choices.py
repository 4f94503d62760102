"""What a reader chose to see of usage: how far back, told apart by what, of which environment."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, TypeVar
from urllib.parse import urlencode

from aitbc.schemas.scopes import Environment
from aitbc.schemas.usage import Granularity
from aitbc_server.dashboard.charts import TimeAxis
from aitbc_server.usage.levels import floor
from aitbc_server.usage.span import STEP_MS, Span


class Window(StrEnum):
    """How far back: the present minute, hour or day is the last one."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class By(StrEnum):
    """By what requests are told apart."""

    OUTCOME = "outcome"
    KEY = "key"


class _Width(NamedTuple):
    granularity: Granularity
    intervals: int
    words: str


_WIDTHS = {
    Window.HOUR: _Width(Granularity.MINUTE, 60, "the last hour"),
    Window.DAY: _Width(Granularity.HOUR, 24, "the last 24 hours"),
    Window.MONTH: _Width(Granularity.DAY, 30, "the last 30 days"),
}

_Choice = TypeVar("_Choice", bound=StrEnum)


class Choice(NamedTuple):
    """The reader's choice; ``environment`` None is both."""

    window: Window = Window.DAY
    by: By = By.OUTCOME
    environment: Environment | None = None

    @classmethod
    def of(cls, query: Callable[[str], str]) -> Choice:
        """The choice in a page's address. What makes no sense there counts as not chosen."""
        return cls(
            _one_of(Window, query("window")) or Window.DAY,
            _one_of(By, query("by")) or By.OUTCOME,
            _one_of(Environment, query("environment")),
        )

    @property
    def words(self) -> str:
        """Of which time: ``the last 24 hours``."""
        return _WIDTHS[self.window].words

    def query(self, **other: str | None) -> str:
        """The address' query for this choice, but for what is given: None chooses nothing."""
        chosen = {"window": self.window, "by": self.by, "environment": self.environment, **other}
        return "?" + urlencode({name: value for name, value in chosen.items() if value})

    def axis(self, now_ms: int) -> TimeAxis:
        """The chart's axis."""
        width = _WIDTHS[self.window]
        step_ms = STEP_MS[width.granularity]
        return TimeAxis(floor(now_ms, step_ms) - (width.intervals - 1) * step_ms, step_ms, width.intervals)

    def span(self, now_ms: int) -> Span:
        """The question to ask of usage."""
        axis = self.axis(now_ms)
        return Span(axis.from_ms, axis.from_ms + axis.intervals * axis.step_ms, _WIDTHS[self.window].granularity)


def _one_of(choices: type[_Choice], text: str) -> _Choice | None:
    try:
        return choices(text)
    except ValueError:
        return None
