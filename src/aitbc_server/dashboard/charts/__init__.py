"""Charts as SVG: pure functions, numbers in, markup out.

Every chart is readable in light and dark (its colours are classes of ``charts.css`` and ``currentColor``), by people
who see no colours (a pattern, an order and a label for each series) and by people who see no chart (``role="img"``
with title and description, and a table with the same numbers). There is no inline style: the Content-Security-Policy
forbids it. Times are UTC, and say so; the script makes hours and minutes local, as it does elsewhere on the page.
Days stay those of UTC: their requests are counted by them.
"""

from __future__ import annotations

from aitbc_server.dashboard.charts.axes import TimeAxis
from aitbc_server.dashboard.charts.gauge import gauge
from aitbc_server.dashboard.charts.ranking import ranking
from aitbc_server.dashboard.charts.series import Series, Tone
from aitbc_server.dashboard.charts.sparkline import sparkline
from aitbc_server.dashboard.charts.stacked import stacked_bars

__all__ = ["Series", "TimeAxis", "Tone", "gauge", "ranking", "sparkline", "stacked_bars"]
