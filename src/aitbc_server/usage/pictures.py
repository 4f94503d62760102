"""Usage as charts: pure, an answer about usage in, markup out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from markupsafe import Markup

from aitbc.schemas.usage import Usage, UsageSeries
from aitbc_server.clock import to_ms
from aitbc_server.dashboard.charts import Series, TimeAxis, Tone, ranking, stacked_bars
from aitbc_server.errors import Code
from aitbc_server.gate.store import ALLOWED
from aitbc_server.usage.words import operation_words, outcome_words

# Each outcome looks the same on every page. Those that are not here are rare, and one series together.
_TONES = {
    ALLOWED: Tone.BLUE,
    Code.RATE_LIMIT_EXCEEDED: Tone.ORANGE,
    Code.INSUFFICIENT_SCOPE: Tone.PINK,
    Code.IP_NOT_ALLOWED: Tone.GREEN,
    Code.EXPIRED_API_KEY: Tone.YELLOW,
    Code.REVOKED_API_KEY: Tone.PURPLE,
}
_OTHER_REFUSALS = "Other refusals"
_OTHER_KEYS = "All other keys"
# So many keys have a colour of their own.
_KEY_TONES = (Tone.BLUE, Tone.ORANGE, Tone.PINK, Tone.GREEN, Tone.PURPLE)


def requests_by_outcome(chart_id: str, title: str, axis: TimeAxis, usage: Usage) -> Markup:
    """Requests over time, by what became of them: allowed ones at the bottom."""
    found = {each.outcome: _values(axis, each) for each in usage.series if isinstance(each.outcome, str)}
    known = [Series(outcome_words(name).name, tone, found[name]) for name, tone in _TONES.items() if name in found]
    rare = [values for name, values in found.items() if name not in _TONES]
    return stacked_bars(chart_id, title, axis, [*known, Series(_OTHER_REFUSALS, Tone.GREY, _sums(axis, rare))])


def requests_by_key(chart_id: str, title: str, axis: TimeAxis, usage: Usage, names: Mapping[str, str]) -> Markup:
    """Requests over time, by key: those with the most have a colour of their own. Keys are told by name, else by id."""
    # The answer has the largest series first.
    of_keys = [(each.key_id, _values(axis, each)) for each in usage.series if isinstance(each.key_id, str)]
    shown = [
        Series(names.get(key_id, key_id), tone, values)
        for (key_id, values), tone in zip(of_keys, _KEY_TONES, strict=False)
    ]
    rest = [values for _, values in of_keys[len(_KEY_TONES) :]]
    return stacked_bars(chart_id, title, axis, [*shown, Series(_OTHER_KEYS, Tone.GREY, _sums(axis, rest))])


def by_operation(chart_id: str, title: str, usage: Usage) -> Markup:
    """Requests by what they were for, in the whole time."""
    counts = [
        (operation_words(each.operation), sum(count for _, count in each.points))
        for each in usage.series
        if isinstance(each.operation, str)
    ]
    return ranking(chart_id, title, counts, column="Operation")


def limit_use(chart_id: str, title: str, axis: TimeAxis, usage: Usage, limit: int | None) -> Markup:
    """Allowed requests in each minute, under the line of the limit."""
    allowed = [_values(axis, each) for each in usage.series if each.outcome == ALLOWED]
    series = [Series(outcome_words(ALLOWED).name, Tone.BLUE, _sums(axis, allowed))]
    return stacked_bars(chart_id, title, axis, series, limit=limit)


def _values(axis: TimeAxis, series: UsageSeries) -> list[int]:
    return axis.values((to_ms(at), count) for at, count in series.points)


def _sums(axis: TimeAxis, rows: Iterable[list[int]]) -> list[int]:
    return [sum(values) for values in zip([0] * axis.intervals, *rows, strict=True)]
