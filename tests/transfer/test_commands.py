"""``aitbc admin export``, ``import`` and ``renew-fences``, as an operator types them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from tests.e2e.processes import ServerProcess, admin, running


def ask(server: ServerProcess, key: str) -> httpx2.Response:
    """GET self."""
    return httpx2.get(f"{server.url}/v1/api-keys/self", headers={"X-API-Key": key})


def shell(data_dir: Path, command: str) -> subprocess.CompletedProcess[str]:
    """``aitbc admin`` with what bash does around it."""
    return subprocess.run(
        ["bash", "-c", f"{sys.executable} -m aitbc admin {command}"],
        env=os.environ | {"AITBC_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The folder of an installation on SQLite, where no server runs any more."""
    folder = tmp_path / "old"
    assert admin(folder, "create-tenant", "--id", "acme", "--plan", "pro").returncode == 0
    return folder


def test_from_a_running_server_on_sqlite_to_postgresql(tmp_path: Path, postgres_url: str) -> None:
    """The whole way as the how-to page tells it: the same key answers on the new installation."""
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "aitbc.jsonl"
    with running("serve", data_dir=old) as server:
        server.create_tenant("acme")
        key = server.create_key("acme", "manager")
        revoked = httpx2.post(f"{server.url}/v1/api-keys", headers={"X-API-Key": key}, json={"name": "old"}).json()
        httpx2.post(f"{server.url}/v1/api-keys/{revoked['id']}/revoke", headers={"X-API-Key": key})
        said = server.admin("export", str(file))
        assert said["rows"]["api_keys"] == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    variables = {"AITBC_DATABASE_URL": postgres_url.replace("+asyncpg", "")}
    new.mkdir()
    refused = admin(new, "import", str(file), variables=variables)
    assert refused.returncode == 1
    assert "the secret key of the old installation is missing" in refused.stderr
    assert not (new / "secret.key").exists()
    shutil.copy(old / "secret.key", new / "secret.key")
    imported = admin(new, "import", str(file), variables=variables)
    assert imported.returncode == 0, imported.stderr
    assert "Imported 1 tenant, 2 keys, 0 jobs" in imported.stderr
    assert admin(new, "verify-audit", variables=variables).returncode == 0
    again = admin(new, "import", str(file), variables=variables)
    assert "the database is not empty" in again.stderr
    with running("serve", data_dir=new, variables=variables) as server:
        assert ask(server, key).status_code == 200
        assert ask(server, revoked["key"]).json()["code"] == "revoked_api_key"


def test_a_server_that_runs_keeps_its_database(tmp_path: Path, old: Path) -> None:
    """An import waits for nobody: it names what is in its way."""
    file = tmp_path / "file"
    assert admin(old, "export", str(file)).returncode == 0
    with running("serve", data_dir=tmp_path / "new") as server:
        refused = admin(server.data_dir, "import", str(file))
    assert refused.returncode == 1
    assert "another server" in refused.stderr
    assert "is running on the data folder" in refused.stderr


def test_standard_output_has_the_file_and_nothing_else(old: Path) -> None:
    """So that it can be piped to another machine."""
    ran = admin(old, "export", "-")
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert lines[0]["format"] == "aitbc-export"
    assert lines[-1]["rows"] == sum(lines[0]["rows"].values())
    assert "Exported 1 tenant" in ran.stderr


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path, old: Path) -> None:
    """An older export is worth something."""
    file = tmp_path / "file"
    file.write_text("precious")
    ran = admin(old, "export", str(file))
    assert (ran.returncode, file.read_text()) == (1, "precious")
    assert "is there already" in ran.stderr


def test_what_lies_beside_the_file_is_not_used(tmp_path: Path, old: Path) -> None:
    """Neither a file that anybody may read nor a link that leads elsewhere: the export is its owner's alone."""
    file, victim = tmp_path / "file", tmp_path / "victim"
    victim.write_text("precious")
    victim.chmod(0o666)
    (tmp_path / "file.part").symlink_to(victim)
    assert admin(old, "export", str(file)).returncode == 0
    assert victim.read_text() == "precious"
    assert not file.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"file", "victim", "file.part", "old"}


def test_a_full_disk_behind_standard_output_is_said(old: Path) -> None:
    """In one line, as of a file."""
    ran = shell(old, "export - > /dev/full")
    assert (ran.returncode, ran.stderr) == (1, "error: standard output cannot be written: No space left on device\n")


def test_a_pipe_is_imported_and_leaves_nothing_behind(tmp_path: Path, old: Path) -> None:
    """It is read twice, so it is kept meanwhile where nobody else sees it."""
    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(old / "secret.key", new / "secret.key")
    file = tmp_path / "file"
    assert admin(old, "export", str(file)).returncode == 0
    ran = shell(new, f"import - < <(cat {file})")
    assert ran.returncode == 0, ran.stderr
    assert "Imported 1 tenant" in ran.stderr
    assert not [path for path in new.iterdir() if path.name.startswith("tmp")]


def test_fences_are_renewed_on_a_running_server(tmp_path: Path) -> None:
    """What was changed by hand in the database is in effect when the command returns."""
    with running("serve", data_dir=tmp_path / "data") as server:
        server.create_tenant("acme")
        key = server.create_key("acme", "client")
        assert ask(server, key).status_code == 200
        with closing(sqlite3.connect(server.data_dir / "aitbc.db")) as database:
            database.execute("UPDATE tenants SET suspended_at = 1")
            database.commit()
        assert server.admin("renew-fences") == {"tenants": 1}
        assert ask(server, key).json()["code"] == "tenant_suspended"
