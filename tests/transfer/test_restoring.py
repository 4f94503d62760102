"""A restored backup never revives a revoked key. ASVS 8.3.2."""

from __future__ import annotations

import logging
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import select, update
from tests.e2e.processes import ServerProcess, admin, running
from tests.support.postgres import PostgresServer, run_sql
from tests.support.valkey import ValkeyProcess
from tests.usage.world import Clock, Key, World

from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.api_keys.revocations import RevocationFile, revoke_again
from aitbc_server.audit import verify
from aitbc_server.audit.model import AuditEventRow
from aitbc_server.audit.service import AuditLog
from aitbc_server.db.engine import Database
from aitbc_server.db.fences import LocalFences
from aitbc_server.db.unit_of_work import UnitsOfWork

FILE = "revoked.keys"


def call(server: ServerProcess, key: str, method: str, path: str, body: Any = None) -> httpx2.Response:
    """Ask as this key."""
    return httpx2.request(method, f"{server.url}{path}", headers={"X-API-Key": key}, json=body)


def test_a_key_that_was_revoked_after_the_backup_stays_revoked(tmp_path: Path) -> None:
    """The old database comes back, and the server that starts on it knows better; the log of changes says so."""
    data, backup = tmp_path / "data", tmp_path / "backup.db"
    with running("serve", data_dir=data) as server:
        server.create_tenant("acme")
        manager = server.create_key("acme", "manager")
        made = call(server, manager, "POST", "/v1/api-keys", {"name": "leaked"}).json()
    shutil.copy(data / "aitbc.db", backup)
    with running("serve", data_dir=data) as server:
        assert call(server, manager, "POST", f"/v1/api-keys/{made['id']}/revoke").status_code == 200
        assert stat.S_IMODE((data / FILE).stat().st_mode) == 0o600
        server.kill()
    for leftover in data.glob("aitbc.db*"):
        leftover.unlink()
    shutil.copy(backup, data / "aitbc.db")
    with running("serve", data_dir=data) as server:
        assert call(server, made["key"], "GET", "/v1/api-keys/self").json()["code"] == "revoked_api_key"
        log = call(server, manager, "GET", f"/v1/audit-log?key_id={made['id']}").json()["items"]
        assert (log[0]["action"], log[0]["actor"]["type"]) == ("api_key.revoked", "system")
        assert server.admin("verify-audit")["findings"] == []
        assert "the database is older than this folder" in server.text()


def test_nodes_that_run_revoke_again_when_their_database_is_replaced(
    tmp_path: Path, postgres: PostgresServer, postgres_template: str, postgres_url: str, own_valkey: ValkeyProcess
) -> None:
    """An older copy takes the database's name under two nodes: the key that one of them revoked is so on both."""
    data, new, second, file = [tmp_path / name for name in ("data", "new", "second", "file")]
    url = postgres_url.replace("+asyncpg", "")
    name = urlsplit(url).path.strip("/")
    variables = {"AITBC_DATABASE_URL": url, "AITBC_VALKEY_URL": own_valkey.url}
    run_sql(postgres.get_uri(), f"CREATE DATABASE {name}_new TEMPLATE {postgres_template};")
    with running("serve", data_dir=data, variables=variables) as server:
        for folder in (new, second):
            folder.mkdir()
            shutil.copy(data / "secret.key", folder / "secret.key")
        with running("serve", data_dir=second, variables=variables) as other:
            server.create_tenant("acme")
            manager = server.create_key("acme", "manager")
            made = call(server, manager, "POST", "/v1/api-keys", {"name": "leaked"}).json()
            server.admin("export", str(file))
            assert call(server, manager, "POST", f"/v1/api-keys/{made['id']}/revoke").status_code == 200
            renamed = {"AITBC_DATABASE_URL": url.replace(name, f"{name}_new", 1)}
            imported = admin(new, "import", str(file), variables=renamed)
            assert imported.returncode == 0, imported.stderr
            replace_database(postgres, name)
            until(lambda: all("the database was replaced" in node.text() for node in (server, other)))
            until(lambda: "the database is older than this folder" in server.text())
            for node in (server, other):
                assert call(node, made["key"], "GET", "/v1/api-keys/self").json()["code"] == "revoked_api_key"
                assert call(node, manager, "GET", "/v1/api-keys/self").status_code == 200


def replace_database(postgres: PostgresServer, name: str) -> None:
    """``name_new`` takes the place of ``name``, whoever is connected."""
    for statement in (
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'",  # noqa: S608 - of a test
        f"ALTER DATABASE {name} RENAME TO {name}_old",
        f"ALTER DATABASE {name}_new RENAME TO {name}",
        f"DROP DATABASE {name}_old",
    ):
        run_sql(postgres.get_uri(), statement + ";")


def until(holds: Callable[[], bool]) -> None:
    """Wait for it, ten seconds at most."""
    deadline_s = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


class Backed:
    """A node's folder, and its database, which may be put back."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.audit = AuditLog(world.secret_keys, world.clock)
        note = RevocationFile(folder).note
        self.units = UnitsOfWork(world.database, LocalFences(lambda ids: None), world.clock, note_ended=note)

    async def end(self, *keys: Key) -> None:
        """Revoke, as services do."""
        async with self.units.begin() as unit:
            for key in keys:
                row = await unit.session.get_one(ApiKeyRow, key.kid)
                row.revoked_at = self.world.clock.timestamp()
                unit.ends(key.kid)
            await unit.commit()

    async def go_back(self) -> None:
        """The database forgets what was revoked."""
        async with self.world.database.write() as session:
            await session.execute(update(ApiKeyRow).values(revoked_at=None))
            await session.commit()

    async def revoked(self) -> set[str]:
        """Which keys are revoked now."""
        async with self.world.database.read() as session:
            return set((await session.scalars(select(ApiKeyRow.kid).where(ApiKeyRow.revoked_at.is_not(None)))).all())

    async def start(self) -> int:
        """As a server that starts."""
        return await revoke_again(self.units, self.audit, self.folder)


@pytest.fixture
async def backed(database: Database, tmp_path: Path) -> Backed:
    """With a tenant."""
    world = World(database, tmp_path, Clock())
    await world.add_tenant("acme")
    return Backed(world, tmp_path)


async def test_only_what_was_revoked_is_revoked_again_and_once(backed: Backed) -> None:
    """In one event each, and the log of changes verifies; a start with nothing to do writes nothing."""
    first, second, kept = [await backed.world.add_key("acme") for _ in range(3)]
    assert await backed.start() == 0
    await backed.end(first, second)
    assert await backed.start() == 0
    await backed.go_back()
    assert await backed.start() == 2
    assert await backed.start() == 0
    assert await backed.revoked() == {first.kid, second.kid}
    assert kept.kid not in (backed.folder / FILE).read_text()
    async with backed.world.database.read() as session:
        events = (await session.scalars(select(AuditEventRow))).all()
        assert {event.target_id for event in events} == {first.id, second.id}
    async with backed.world.database.read() as session:
        assert (await verify.verify(session, backed.world.secret_keys)).ok


async def test_what_a_worker_wrote_counts_too(backed: Backed) -> None:
    """Each process has a folder of its own, and there may be fewer of them now."""
    key = await backed.world.add_key("acme")
    worker = backed.folder / "workers" / "7"
    worker.mkdir(parents=True)
    await RevocationFile(worker).note([key.kid])
    assert await backed.start() == 1


async def test_a_worker_reads_what_other_workers_wrote(backed: Backed) -> None:
    """Some of them may not run any more."""
    key, other = await backed.world.add_key("acme"), await backed.world.add_key("acme")
    worker = backed.folder / "workers" / "7"
    worker.mkdir(parents=True)
    await RevocationFile(worker).note([key.kid])
    await RevocationFile(backed.folder).note([other.kid])
    assert await revoke_again(backed.units, backed.audit, backed.folder / "workers" / "1") == 2


async def test_a_file_that_a_crash_cut_off_is_read_as_far_as_it_goes(backed: Backed) -> None:
    """Half a line and nonsense name no key, and what is written behind them does."""
    key, later = await backed.world.add_key("acme"), await backed.world.add_key("acme")
    (backed.folder / FILE).write_bytes(b"\xff\xfe\n\n%s\n' OR 1=1 --\n%s" % (key.kid.encode(), key.kid[:5].encode()))
    await RevocationFile(backed.folder).note([later.kid])
    assert await backed.start() == 2


async def test_a_change_that_is_not_committed_leaves_nothing(backed: Backed) -> None:
    """Else a key that nobody revoked would end with the next start."""
    key = await backed.world.add_key("acme")
    async with backed.units.begin() as unit:
        unit.ends(key.kid)
    assert not (backed.folder / FILE).exists()


async def test_a_full_disk_takes_no_revocation_back(backed: Backed, caplog: pytest.LogCaptureFixture) -> None:
    """It is committed; that a backup would revive it is said."""
    key = await backed.world.add_key("acme")
    (backed.folder / FILE).mkdir()
    with caplog.at_level(logging.ERROR):
        await backed.end(key)
    assert await backed.revoked() == {key.kid}
    assert "cannot be written" in caplog.text
