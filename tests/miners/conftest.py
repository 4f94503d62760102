"""A market on each database."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.jobs.market import Market

from aitbc_server.db.engine import Database


@pytest.fixture
async def market(database: Database, tmp_path: Path) -> Market:
    """Two tenants with a client and a miner each, once on SQLite and once on PostgreSQL."""
    market = Market(database, tmp_path)
    await market.open()
    return market
