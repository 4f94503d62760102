"""Migrations that are run from several machines at once, as where no node is the first, and under nodes that run."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import httpx2
import pytest
from tests.e2e.processes import ServerProcess, admin, running

from aitbc_server.db import migrate
from aitbc_server.db.migrate import HEAD

NODES = 4
LATER = f"{int(HEAD) + 1:04}"
UP = {"database": "up"}
WARNING = f"the database's schema ({LATER}) is a later release's (this one's is {HEAD})"


def execute(url: str, sql: str) -> None:
    """Run statements on the database."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(sql)
        await connection.close()

    asyncio.run(run())


def set_version(url: str, version: str) -> None:
    """Say that the schema is of this version."""
    execute(url, f"UPDATE alembic_version SET version_num = '{version}'")  # noqa: S608 -- the tests' own text


def update_to_later_release(url: str) -> None:
    """What the next release's migration may do: it works with this one's code."""
    execute(url, "ALTER TABLE api_keys ADD COLUMN colour TEXT")
    set_version(url, LATER)


def ready(node: ServerProcess) -> tuple[int, Any]:
    """The status, and the details or what is wrong."""
    answer = httpx2.get(f"{node.url}/health/ready")
    return answer.status_code, answer.json().get("details") or answer.json()["detail"]


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


def test_old_nodes_go_on_while_a_fleet_is_updated(fresh_postgres: str, tmp_path: Path) -> None:
    """One that runs, and one that is started again in the middle: each is ready, answers, and says once that an update
    is due. Its `migrate` takes nothing back, and its `export` leaves nothing out in silence.
    """
    variables = {"AITBC_DATABASE_URL": fresh_postgres}
    folder = tmp_path / "data"
    assert admin(folder, "migrate", variables=variables).returncode == 0
    with running("serve", data_dir=folder, variables=variables) as node:
        node.create_tenant("acme", plan="pro")
        key = node.create_key("acme", "manager")
        assert ready(node) == (200, UP)
        update_to_later_release(fresh_postgres)
        for _ in range(3):
            assert ready(node) == (200, UP | {"schema": "newer"})
        assert answers(node, key) == (200, 201)
        assert node.text().count(WARNING) == 1
        ran = admin(folder, "--output", "json", "migrate", variables=variables)
        assert (ran.returncode, json.loads(ran.stdout)) == (0, {"before": LATER, "now": LATER})
        exported = admin(folder, "export", str(tmp_path / "export"), variables=variables)
        assert exported.returncode == 1
        assert "newer" in exported.stderr
    with running("serve", data_dir=folder, variables=variables) as node:
        assert ready(node) == (200, UP | {"schema": "newer"})
        assert answers(node, key) == (200, 201)
        assert node.text().count(WARNING) == 1


def test_a_node_on_tables_that_were_taken_back_is_not_ready(fresh_postgres: str, tmp_path: Path) -> None:
    """Its code needs what is not there."""
    variables = {"AITBC_DATABASE_URL": fresh_postgres}
    assert admin(tmp_path / "data", "migrate", variables=variables).returncode == 0
    with running("serve", data_dir=tmp_path / "data", variables=variables) as node:
        for behind in ("0001", "0000", "ae1027a6acf"):
            set_version(fresh_postgres, behind)
            assert ready(node) == (503, "The database has another schema than this release needs.")


@pytest.mark.parametrize(
    ("revision", "expected"), [(LATER, True), (HEAD, False), ("0001", False), (None, False), ("z" * 4, False)]
)
def test_what_a_later_release_is(revision: str | None, expected: bool) -> None:
    """Our versions are four digits and count up; what is none of them is no release of ours."""
    assert migrate.is_newer(revision) is expected


def answers(node: ServerProcess, key: str) -> tuple[int, int]:
    """What a read and a change are answered with."""
    headers = {"X-API-Key": key}
    return (
        httpx2.get(f"{node.url}/v1/api-keys", headers=headers).status_code,
        httpx2.post(
            f"{node.url}/v1/api-keys", headers=headers, json={"name": "k", "scopes": ["jobs:read"]}
        ).status_code,
    )
