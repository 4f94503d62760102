"""Another installation on the same Valkey takes nothing from it: it does not start. Its own ones do, wherever it is."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest
from tests.e2e.processes import START_S, ServerProcess, admin, running, start
from tests.support.postgres import PostgresServer, run_sql
from tests.support.valkey import ValkeyProcess, free_port
from tests.support.valkey_groups import ask, until

from aitbc_server.gate.whose import KEY
from aitbc_server.serving import store_checks
from aitbc_server.serving.errors import StartError
from aitbc_server.serving.findings import Level

SECRET_KEY = "one-secret-key-for-every-node-of-this-fleet"
OURS, OTHERS = "a1" * 16, "b2" * 16


@pytest.fixture
def variables(own_valkey: ValkeyProcess) -> dict[str, str]:
    """What a server is started with."""
    return {"AITBC_VALKEY_URL": own_valkey.url, "AITBC_SECRET_KEY": SECRET_KEY}


@contextmanager
def new_database(postgres: PostgresServer, name: str) -> Iterator[str]:
    """An empty database's address; a copy of the tests' template would be the same installation as other copies."""
    run_sql(postgres.get_uri(), f"CREATE DATABASE {name};")
    try:
        yield postgres.get_uri(name)
    finally:
        run_sql(postgres.get_uri(), f"DROP DATABASE {name} WITH (FORCE);")


def refused(data_dir: Path, variables: dict[str, str]) -> str:
    """What a server that does not start has said. Asserts its exit code."""
    server = start("serve", data_dir=data_dir, variables=variables)
    try:
        assert server.process.wait(START_S) == 1, server.text()
    finally:
        server.process.kill()
    return server.text()


def doctor(data_dir: Path, variables: dict[str, str]) -> str:
    """What it says, on one line."""
    return " ".join(admin(data_dir, "doctor", variables=variables).stdout.split())


def used(server: ServerProcess, key: str) -> int:
    """A request more; how many there were by what the database has."""
    assert httpx2.get(f"{server.url}/v1/api-keys/self", headers={"X-API-Key": key}).status_code == 200
    return int(httpx2.get(f"{server.url}/v1/usage", headers={"X-API-Key": key}).json()["totals"]["allowed"])


def test_a_server_with_the_wrong_valkey_takes_no_counts_from_it(
    tmp_path: Path, postgres: PostgresServer, own_valkey: ValkeyProcess, variables: dict[str, str]
) -> None:
    """One on SQLite is refused, with what is wrong and what to do, and the fleet's counts stay where they are."""
    with new_database(postgres, "owner_of_the_store") as url:
        of_fleet = variables | {"AITBC_DATABASE_URL": url}
        assert admin(tmp_path / "node", "migrate", variables=of_fleet).returncode == 0
        assert "nobody yet" in doctor(tmp_path / "node", of_fleet)
        with running("serve", data_dir=tmp_path / "node", variables=of_fleet) as node:
            node.create_tenant("acme")
            key = node.create_key("acme", "manager")
            used(node, key)
            said = refused(tmp_path / "staging", variables)
            assert "error: Valkey cannot be used: it holds the limits and counts of another installation" in said
            assert "hint: name this installation's own Valkey with AITBC_VALKEY_URL" in said
            assert "Traceback" not in said
            until_counted(node, key, 2)
            looked = doctor(tmp_path / "staging", variables)
            assert "of another installation" in looked
            assert "this installation, " in doctor(tmp_path / "node", of_fleet)
            assert not counts(tmp_path / "staging")
        # Other databases of the same server are other stores.
        beside = variables | {"AITBC_VALKEY_URL": f"{own_valkey.url}/1"}
        with running("serve", data_dir=tmp_path / "staging", variables=beside):
            pass


def counts(folder: Path) -> list[tuple[str]]:
    """Whose usage a folder's database has."""
    with closing(sqlite3.connect(folder / "aitbc.db")) as database:
        return database.execute("SELECT tenant_id FROM usage_minutes").fetchall()


def test_a_backup_is_still_the_same_installation(tmp_path: Path, variables: dict[str, str]) -> None:
    """Restored beside its Valkey it starts, and what was counted since is stored with it; a new database does not."""
    data, backup = tmp_path / "data", tmp_path / "backup.db"
    with running("serve", data_dir=data, variables=variables) as server:
        server.create_tenant("acme")
        key = server.create_key("acme", "manager")
    shutil.copy(data / "aitbc.db", backup)
    with running("serve", data_dir=data, variables=variables) as server:
        used(server, key)
        server.kill()
    shutil.rmtree(data)
    assert "another installation" in refused(data, variables)
    shutil.rmtree(data)
    data.mkdir()
    shutil.copy(backup, data / "aitbc.db")
    with running("serve", data_dir=data, variables=variables) as server:
        until_counted(server, key, 2)


def until_counted(server: ServerProcess, key: str, least: int) -> None:
    """Wait for so many in the database."""
    for _ in range(100):
        if used(server, key) >= least + 1:
            return
    raise AssertionError("what was counted before has not come")


def test_an_installation_that_moves_keeps_its_valkey(
    tmp_path: Path, postgres: PostgresServer, variables: dict[str, str]
) -> None:
    """From SQLite to PostgreSQL and on with the same Valkey."""
    data, file = tmp_path / "data", tmp_path / "file"
    with running("serve", data_dir=data, variables=variables) as server:
        server.create_tenant("acme")
        key = server.create_key("acme", "manager")
    assert admin(data, "export", str(file), variables=variables).returncode == 0
    with new_database(postgres, "moved_with_its_store") as url:
        moved = variables | {"AITBC_DATABASE_URL": url}
        assert admin(data, "migrate", variables=moved).returncode == 0
        assert "another installation" in refused(tmp_path / "node", moved)
        imported = admin(data, "import", str(file), variables=moved)
        assert imported.returncode == 0, imported.stderr
        with running("serve", data_dir=tmp_path / "node", variables=moved) as server:
            used(server, key)


def test_an_import_takes_over_the_valkey_of_the_empty_database(
    tmp_path: Path, postgres: PostgresServer, variables: dict[str, str]
) -> None:
    """Somebody looked whether the new fleet starts, before the data came."""
    data, file = tmp_path / "data", tmp_path / "file"
    assert admin(data, "create-tenant", "--id", "acme", "--plan", "pro", variables={}).returncode == 0
    shutil.copy(data / "secret.key", tmp_path / "secret.key")
    assert admin(data, "export", str(file)).returncode == 0
    with new_database(postgres, "looked_at_before") as url:
        moved = {
            "AITBC_DATABASE_URL": url,
            "AITBC_VALKEY_URL": variables["AITBC_VALKEY_URL"],
            "AITBC_SECRET_KEY_FILE": str(tmp_path / "secret.key"),
        }
        assert admin(data, "migrate", variables=moved).returncode == 0
        with running("serve", data_dir=tmp_path / "node", variables=moved):
            pass
        imported = admin(data, "import", str(file), variables=moved)
        assert imported.returncode == 0, imported.stderr
        with running("serve", data_dir=tmp_path / "node", variables=moved):
            pass


def test_a_database_that_is_replaced_by_another_ones_takes_its_node_from_the_store(
    tmp_path: Path, postgres: PostgresServer, variables: dict[str, str]
) -> None:
    """Under a node that runs: what the store has counted is not for this database."""
    with new_database(postgres, "replaced_by_another") as url:
        of_fleet = variables | {"AITBC_DATABASE_URL": url}
        assert admin(tmp_path / "node", "migrate", variables=of_fleet).returncode == 0
        with running("serve", data_dir=tmp_path / "node", variables=of_fleet) as node:
            run_sql(url, f"UPDATE installation SET id = '{OTHERS}'; TRUNCATE api_keys CASCADE;")  # noqa: S608 - of a test
            until(lambda: "Valkey cannot be used" in node.text(), "a store that is left")
            assert httpx2.get(f"{node.url}/health/ready").json()["details"]["store"] == "away"


async def test_a_valkey_that_does_not_answer_belongs_to_whom_it_may(own_valkey: ValkeyProcess) -> None:
    """It is no reason not to start, nor to fail an import; the doctor says that it cannot be told."""
    nobody = f"valkey://127.0.0.1:{free_port()}"
    await store_checks.ensure_ours(nobody, OURS)
    await store_checks.hand_over(nobody, OURS, OTHERS)
    assert (await store_checks.examine_owner(nobody, OURS)).level is Level.WARN
    ask(own_valkey, "SET", KEY, OURS)
    assert (await store_checks.examine_owner(own_valkey.url, OTHERS)).level is Level.FAIL
    with pytest.raises(StartError, match="another installation"):
        await store_checks.ensure_ours(own_valkey.url, OTHERS)
