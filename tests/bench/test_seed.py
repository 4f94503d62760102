"""The seeded folder: as many tenants as were asked for, in transactions of a bounded size."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from bench import seed as seeding
from bench.seed import seed


def test_some_of_many_are_returned_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are stored, chunk by chunk, and those in use lie among all the others."""
    monkeypatch.setattr(seeding, "_CHUNK", 7)
    returned = seed(tmp_path / "data", 30, returned=6)
    assert [one.tenant_id for one in returned] == [f"bench-{number:05d}" for number in range(0, 30, 5)]
    (database,) = (tmp_path / "data").glob("*.db")
    with closing(sqlite3.connect(database)) as connection:
        counted = connection.execute("select count(*), count(distinct kid) from api_keys").fetchone()
    assert counted == (30, 30)


def test_all_are_returned_where_nobody_says_how_many(tmp_path: Path) -> None:
    """Each with a key of its own."""
    assert len({one.key for one in seed(tmp_path / "data", 3)}) == 3
