"""``python -m bench.readme``: write the table of bench/results.json into README.md, between its two markers."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.common import results, table

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"

README = Path("README.md")
RESULTS = Path("bench/results.json")


class ReadmeError(Exception):
    """README.md has no place for the table; the text says what to add."""


def main() -> int:
    """Rewrite README.md. Returns the exit code."""
    try:
        text = with_table(README.read_text(encoding="utf-8"), table.markdown_table(results.read(RESULTS)))
    except (OSError, ReadmeError, results.ResultsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    README.write_text(text, encoding="utf-8")
    return 0


def with_table(text: str, rendered: str) -> str:
    """``text`` with ``rendered`` between the markers. Raises ReadmeError where they are not there, once each."""
    before, begin, rest = text.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end or BEGIN in old + after or END in before + after:
        raise ReadmeError(f"README.md needs the line {BEGIN} and, after it, the line {END}, once each")
    return f"{before}{BEGIN}\n\n{rendered}\n\n{END}{after}"


if __name__ == "__main__":
    sys.exit(main())
