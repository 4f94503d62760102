"""How pages are worded, whichever page it is."""

from __future__ import annotations

from pathlib import Path

import aitbc_server


def test_there_is_one_apostrophe() -> None:
    """The one that keyboards have, in every text and template, as API and mails have it too."""
    root = Path(aitbc_server.__file__).parent
    files = [each for each in root.rglob("*") if each.suffix in {".py", ".html", ".js"}]
    assert files
    assert [str(each) for each in files if "\N{RIGHT SINGLE QUOTATION MARK}" in each.read_text()] == []
