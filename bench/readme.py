"""``python -m bench.readme``: write the tables of bench/results.json into the pages, between their two markers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.common import results, table
from bench.common.results import Result

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"

README = Path("README.md")
PAGE = Path("docs/explanation/benchmarks.md")
RESULTS = Path("bench/results.json")


class ReadmeError(Exception):
    """A page has no place for its tables; the text says what to add."""


def main() -> int:
    """Rewrite both pages, or none. Returns the exit code."""
    try:
        measured = results.read(RESULTS)
        written = {page: page_with_table(page, measured) for page in (README, PAGE)}
    except (OSError, ReadmeError, results.ResultsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for page, text in written.items():
        page.write_text(text, encoding="utf-8")
    return 0


def page_with_table(page: Path, measured: Sequence[Result]) -> str:
    """The text of a page with what was measured: README.md has the goals, the other one every system, too."""
    rendered = table.markdown_table(measured)
    if page.name != README.name:
        rendered += "\n\n" + table.systems_table(measured)
    return with_table(page.read_text(encoding="utf-8"), rendered, page.name)


def with_table(text: str, rendered: str, page: str = README.name) -> str:
    """``text`` with ``rendered`` between the markers. Raises ReadmeError where they are not there, once each."""
    before, begin, rest = text.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end or BEGIN in old + after or END in before + after:
        raise ReadmeError(f"{page} needs the line {BEGIN} and, after it, the line {END}, once each")
    return f"{before}{BEGIN}\n\n{rendered}\n\n{END}{after}"


if __name__ == "__main__":
    sys.exit(main())
