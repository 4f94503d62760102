"""How much of a limit is used at this moment."""

from __future__ import annotations

from markupsafe import Markup

from aitbc_server.dashboard.charts.svg import element, percent
from aitbc_server.dashboard.formats import grouped

# From here on a limit counts as nearly used up.
_NEARLY = 0.8


def gauge(chart_id: str, name: str, *, limit: int, remaining: int, reset_s: int) -> Markup:
    """A bar that fills up as the limit is used in a sliding 60 s, with the same in words.

    ``reset_s``: seconds until the oldest counted request leaves the window; 0 for an empty one.
    """
    used = max(limit - remaining, 0)
    share = min(used / limit, 1.0)
    state, word = _state(share, remaining)
    words = f"{grouped(used)} of {grouped(limit)} used in the last 60 seconds; {grouped(remaining)} left."
    bar = element(
        "svg",
        element("title", name, id=f"{chart_id}-title"),
        element("desc", words, id=f"{chart_id}-desc"),
        element("rect", class_="chart-track", width="100%", height=12, rx=6, fill="currentColor"),
        *([element("rect", width=percent(max(share, 0.02)), height=12, rx=6, fill="currentColor")] if used else []),
        class_=f"gauge-svg {state}",
        role="img",
        aria_labelledby=f"{chart_id}-title {chart_id}-desc",
        width="100%",
        height=12,
    )
    figures = element("p", element("b", grouped(used)), f" of {grouped(limit)} in the last 60 s", class_="gauge-used")
    left = element("p", f"{grouped(remaining)} left. {_next(remaining, reset_s)}", class_="gauge-left")
    badge = element("span", word, class_=f"gauge-state {state}")
    head = element("div", element("p", name, class_="gauge-name"), badge, class_="gauge-head")
    return element("div", head, figures, bar, left, class_="gauge", id=chart_id)


def _state(share: float, remaining: int) -> tuple[str, str]:
    """The class and the word for it: colour alone tells nothing."""
    if remaining == 0:
        return "gauge-full", "Used up"
    if share >= _NEARLY:
        return "gauge-nearly", "Nearly used up"
    return "gauge-free", "Unused" if share == 0 else "In use"


def _next(remaining: int, reset_s: int) -> str:
    if reset_s == 0:
        return "No request in the last 60 seconds."
    when = f"in {reset_s} s" if reset_s != 1 else "in a second"
    return f"The next place is free {when}." if remaining == 0 else f"The oldest request stops counting {when}."
