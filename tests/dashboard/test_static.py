"""The files that pages load, and what they may not do."""

from __future__ import annotations

import re

import pytest

from aitbc_server.dashboard.static import FOLDER, StaticFiles
from aitbc_server.errors import DomainError

SCRIPTS = sorted(FOLDER.glob("*.js"))


def test_a_name_changes_with_its_content() -> None:
    """So that a browser may keep a file for ever."""
    files = StaticFiles()
    name = files.url("app.css").removeprefix("/static/")
    assert re.fullmatch(r"app\.[0-9a-f]{12}\.css", name)
    assert files.find(name).content == (FOLDER / "app.css").read_bytes()
    with pytest.raises(KeyError):
        files.url("none.css")


@pytest.mark.parametrize("name", ["app.css", "", "app.000000000000.css", "../pages.py", "..", "app.js/"])
def test_nothing_else_is_found(name: str) -> None:
    """ASVS 13.4.5: no file but those, and none under a name without its hash."""
    with pytest.raises(DomainError):
        StaticFiles().find(name)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_keep_nothing_in_the_browser(path: str) -> None:
    """ASVS 14.3.3: no storage, no cookie, no call to another site, nothing made into code."""
    text = (FOLDER / path).read_text(encoding="utf-8")
    for word in ("localStorage", "sessionStorage", "indexedDB", "document.cookie", "eval(", "Function(", "http"):
        assert word not in text, word


def test_styles_load_nothing() -> None:
    """No picture, font or sheet from elsewhere."""
    for path in FOLDER.glob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert "url(" not in text
        assert "@import" not in text
