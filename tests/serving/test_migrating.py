"""Migrations that are run from several machines at once, as a deployment does that knows no first node."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.processes import admin

from aitbc_server.db.migrate import HEAD

NODES = 4


def test_migrations_from_several_nodes_at_once(fresh_postgres: str, tmp_path: Path) -> None:
    """One of them does the work, the others wait for it and find it done; all succeed, on a database without schema."""
    variables = {"AITBC_DATABASE_URL": fresh_postgres}

    def migrate(number: int) -> tuple[int, str]:
        ran = admin(tmp_path / str(number), "--output", "json", "migrate", variables=variables)
        return ran.returncode, ran.stdout + ran.stderr

    with ThreadPoolExecutor(NODES) as pool:
        ran = list(pool.map(migrate, range(NODES)))
    assert [code for code, _ in ran] == [0] * NODES, ran
    assert all(f'"now": "{HEAD}"' in text for _, text in ran)
