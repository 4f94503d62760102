"""A server in process over each database."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.usage.world import Clock, World

from aitbc_server.db.engine import Database


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def world(database: Database, tmp_path: Path, clock: Clock) -> World:
    """A fresh installation on each database."""
    return World(database, tmp_path, clock)
