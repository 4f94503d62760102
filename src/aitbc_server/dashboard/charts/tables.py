"""The table behind each chart, and the frame around both."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from aitbc_server.dashboard.charts.svg import Value, element
from aitbc_server.dashboard.formats import grouped

#: What the row is, then its values.
Row = Sequence[str | int]


def figure(chart_id: str, *parts: str, **attributes: Value) -> Markup:
    """A chart with what belongs to it."""
    return element("figure", *parts, class_="chart", id=chart_id, **attributes)


def table(caption: str, columns: Sequence[str], rows: Sequence[Row], *, empty_left_out: bool = False) -> Markup:
    """The chart's numbers, folded away. The first column names the row; numbers are set right."""
    note = " Intervals with none are left out." if empty_left_out else ""
    head = element("tr", *[element("th", name, scope="col") for name in columns])
    shown = element(
        "table",
        element("caption", f"{caption}.{note}"),
        element("thead", head),
        element("tbody", *[_row(row) for row in rows]),
        class_="chart-table",
    )
    # What scrolls must be reachable by keyboard, and so needs a name (WCAG 2.1.1).
    region = element("div", shown, class_="chart-scroll", tabindex=0, role="region", aria_label=f"Numbers: {caption}")
    return element("details", element("summary", "Show the numbers"), region, class_="chart-data")


def _row(row: Row) -> Markup:
    name, *values = row
    # The stylesheet sets every cell right: a class in each of hundreds would be a tenth of a page.
    cells = [element("td", grouped(each) if isinstance(each, int) else each) for each in values]
    return element("tr", element("th", str(name), scope="row"), *cells)
