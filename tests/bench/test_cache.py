"""What is made once and kept: complete or not at all, and never somewhere unexpected."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bench.common import cache
from bench.common.cache import MissingPeerError, made_once, run_installer


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def _write(folder: Path) -> None:
    (folder / "it").write_text("made", encoding="ascii")


def _fail(folder: Path) -> None:
    raise MissingPeerError("no network")


def test_it_is_made_on_first_use_only(own_cache: Path) -> None:
    """The second time it is there, inside the folder that the variable names."""
    folder = made_once("peer", "1.0", _write)
    assert folder.parent == own_cache
    assert made_once("peer", "1.0", _fail) == folder
    assert (folder / "it").read_text(encoding="ascii") == "made"


def test_other_versions_are_made_anew() -> None:
    """Where what is pinned changes, the old folder is not taken for the new one."""
    folder = made_once("peer", "1.0", _write)
    assert made_once("peer", "2.0", _write) != folder


def test_half_of_it_is_not_believed() -> None:
    """An installation that broke off leaves nothing that a later run would use."""

    def half(folder: Path) -> None:
        _write(folder)
        _fail(folder)

    with pytest.raises(MissingPeerError):
        made_once("peer", "1.0", half)
    assert not (made_once("peer", "1.0", lambda folder: None) / "it").exists()


def test_without_the_variable_it_is_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of the repository, where programs keep what may be deleted."""
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "aitbc-bench"


def test_an_installer_that_fails_is_quoted(tmp_path: Path) -> None:
    """The peer is missing, and the reason is the installer's own."""
    command = [sys.executable, "-c", "import sys; sys.exit('no matching version')"]
    with pytest.raises(MissingPeerError, match=r"litellm is missing and cannot be installed: no matching version"):
        run_installer("litellm", command, cwd=tmp_path)


def test_an_installer_that_is_not_there_is_named(tmp_path: Path) -> None:
    """So is one that this system does not have."""
    with pytest.raises(MissingPeerError, match="no-such-installer"):
        run_installer("nginx", ["no-such-installer"], cwd=tmp_path)
