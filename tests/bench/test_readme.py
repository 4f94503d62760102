"""The pages' figures are those of bench/results.json, and nobody's memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.common import results
from bench.readme import BEGIN, END, PAGE, README, ReadmeError, page_with_table, with_table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", [README, PAGE])
def test_the_pages_show_what_was_measured(page: Path) -> None:
    """The tables between the markers are those that results.json gives: `python -m bench.readme` writes them."""
    measured = results.read(ROOT / "bench" / "results.json")
    shown = (ROOT / page).read_text(encoding="utf-8")
    assert page_with_table(ROOT / page, measured) == shown, "run `python -m bench.readme`"


def test_the_table_goes_between_the_markers() -> None:
    """What stands around the markers stays, what stood between them goes, and a second time changes nothing."""
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = with_table(text, "| new |")
    assert once == f"before\n{BEGIN}\n\n| new |\n\n{END}\nafter\n"
    assert with_table(once, "| new |") == once


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}{END}{BEGIN}", f"{BEGIN}{END}{END}"])
def test_a_page_without_both_markers_is_refused(text: str) -> None:
    """Nothing is written where it is not clear what would be replaced."""
    with pytest.raises(ReadmeError, match="needs the line"):
        with_table(text, "| new |")
