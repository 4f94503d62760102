"""A server in process over each database."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.usage.world import Clock, World

from aitbc_server.db.engine import Database
from aitbc_server.usage import flusher, last_use


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop may take as long as a busy machine makes it: that it ends in time is the subject of single tests."""
    monkeypatch.setattr(flusher, "STORE_AT_THE_END_S", 30.0)
    monkeypatch.setattr(last_use, "FLUSH_AT_THE_END_S", 30.0)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def world(database: Database, tmp_path: Path, clock: Clock) -> World:
    """A fresh installation on each database."""
    return World(database, tmp_path, clock)
