"""What follows from the address under which people reach the server."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.usage.world import Clock, World

from aitbc_server.db import migrate
from aitbc_server.db.engine import Database


@pytest.mark.parametrize(
    ("public_url", "hsts"),
    [
        ("https://aitbc.example", "max-age=63072000; includeSubDomains"),
        ("http://aitbc.example", None),
        ("", None),
    ],
)
async def test_the_public_url_decides(public_url: str, hsts: str | None, tmp_path: Path) -> None:
    """ASVS 3.4.1: behind a proxy with TLS every answer tells browsers to come by HTTPS, refusals included."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'aitbc.db'}")
    await migrate.upgrade(database)
    world = World(database, tmp_path, Clock())
    world.settings = msgspec.structs.replace(world.settings, public_url=public_url)
    async with world.server() as client:
        for path in ("/health/live", "/v1/jobs", "/docs"):
            assert (await client.get(path)).headers.get("strict-transport-security") == hsts
    await database.close()
