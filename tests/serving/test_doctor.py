"""The doctor: each thing that can be wrong is found, with what to do, and nothing is changed."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.e2e.processes import ServerProcess, admin

from aitbc_server.clock import Clock, now, system_clock
from aitbc_server.db import outbox
from aitbc_server.db.engine import Database
from aitbc_server.serving.doctor import examine
from aitbc_server.serving.findings import Finding, Level
from aitbc_server.settings import Settings
from aitbc_server.users.model import UserRow
from aitbc_server.users.passwords import PasswordHashes

DAY_US = 24 * 3600 * 1_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An installation with a tenant and a key, without a server."""
    data = tmp_path / "data"
    for command in (("create-tenant", "--id", "acme", "--plan", "free"), ("create-key", "--tenant", "acme")):
        assert admin(data, *command).returncode == 0
    return data


async def findings(settings: Settings, clock: Clock = system_clock) -> dict[str, Finding]:
    """What the doctor finds, by what was looked at."""
    return {finding.what: finding async for finding in examine(settings, clock)}


def open_up(folder: Path) -> None:
    """Let other users look into the folder and at the secret key."""
    folder.chmod(0o755)
    (folder / "secret.key").chmod(0o640)


def unwell(found: dict[str, Finding]) -> dict[str, Level]:
    """What is not well."""
    return {what: finding.level for what, finding in found.items() if finding.level is not Level.OK}


async def test_a_sound_installation_is_well(folder: Path) -> None:
    """Everything is looked at, and all is well."""
    found = await findings(Settings(data_dir=folder))
    assert unwell(found) == {}
    assert list(found) == [
        "data folder",
        "secret key",
        "database",
        "API keys",
        "passwords",
        "clock",
        "server",
        "changes",
        "dev keys",
    ]
    assert found["server"].detail == "none is running"
    assert found["API keys"].detail == "all 1 rest on the newest secret key"
    assert found["passwords"].detail == "there are none yet"


async def test_an_empty_place_is_no_fault(tmp_path: Path) -> None:
    """Before the first start the doctor says what is not there yet, and makes nothing."""
    found = await findings(Settings(data_dir=tmp_path / "none"))
    assert set(unwell(found).values()) == {Level.WARN}
    assert not (tmp_path / "none").exists()


async def test_files_that_others_may_read(folder: Path) -> None:
    """A secret key that others can read is a fault, a folder that they can enter a warning (ASVS 13.3.1)."""
    open_up(folder)
    found = await findings(Settings(data_dir=folder))
    assert unwell(found) == {"data folder": Level.WARN, "secret key": Level.FAIL}
    assert found["secret key"].remedy == f"chmod 600 {folder / 'secret.key'}"


async def test_keys_under_older_and_lost_secret_keys_are_counted(folder: Path) -> None:
    """Before an old secret key is taken out of force, the doctor says how many keys still rest on it."""
    old = (folder / "secret.key").read_text(encoding="utf-8")
    (folder / "secret.key").write_text(f"{'n' * 40}\n{old}", encoding="utf-8")
    found = await findings(Settings(data_dir=folder))
    assert found["API keys"].level is Level.WARN
    assert found["API keys"].detail == "1 of 1 rest on an older secret key"
    (folder / "secret.key").write_text("n" * 40, encoding="utf-8")
    found = await findings(Settings(data_dir=folder))
    assert found["API keys"].level is Level.FAIL
    (folder / "secret.key").write_text("short", encoding="utf-8")
    assert unwell(await findings(Settings(data_dir=folder))) == {"secret key": Level.FAIL}
    assert unwell(await findings(Settings(data_dir=folder, secret_key=old))) == {}


async def test_passwords_under_older_and_lost_secret_keys_are_counted(folder: Path) -> None:
    """Nobody is signed out for good by taking an old secret key out of force unseen (ASVS 11.2.2)."""
    old = (folder / "secret.key").read_text(encoding="utf-8")
    settings = Settings(data_dir=folder)
    database = Database(settings.sqlalchemy_url)
    at = now(system_clock)
    async with database.write() as session:
        stored = await PasswordHashes(settings.load_secret_keys()).hash("unhappy-violet-otter")
        session.add(UserRow(id="usr_1", email="ann@example.com", name="Ann", password_hash=stored, created_at=at))
        session.add(UserRow(id="usr_2", email="bob@example.com", name="Bob", created_at=at))
        await session.commit()
    await database.close()
    found = await findings(settings)
    assert found["passwords"] == Finding(Level.OK, "passwords", "all 1 rest on the newest secret key")
    found = await findings(Settings(data_dir=folder, secret_key=f"{'n' * 40},{old.strip()}"))
    assert (found["passwords"].level, found["passwords"].detail) == (Level.WARN, "1 of 1 rest on an older secret key")
    found = await findings(Settings(data_dir=folder, secret_key="n" * 40))
    assert found["passwords"].level is Level.FAIL


async def test_a_clock_that_was_set_back(folder: Path) -> None:
    """Something recorded in the future shows that the clock is wrong (ASVS 16.2.2)."""
    found = await findings(Settings(data_dir=folder), lambda: system_clock() - DAY_US)
    assert unwell(found) == {"clock": Level.FAIL}


async def test_a_database_that_cannot_be_used(folder: Path) -> None:
    """Without a database there is nothing more to look at."""
    database = Database(Settings(data_dir=folder).sqlalchemy_url)
    async with database.write() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
        await session.commit()
    found = await findings(Settings(data_dir=folder))
    assert (found["database"].level, "API keys" in found) == (Level.FAIL, False)
    await database.close()
    away = Settings(data_dir=folder, database_url="postgresql://127.0.0.1:1/aitbc")
    found = await findings(away)
    assert found["database"].level is Level.FAIL
    assert "cannot be used" in found["database"].detail


async def test_an_update_that_is_not_finished_is_a_warning(folder: Path) -> None:
    """The tables of a later release work with this one, and everything else is looked at; they are to meet soon."""
    database = Database(Settings(data_dir=folder).sqlalchemy_url)
    async with database.write() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        await session.commit()
    await database.close()
    found = await findings(Settings(data_dir=folder))
    assert unwell(found) == {"database": Level.WARN}
    assert "9999 is newer than this release's" in found["database"].detail


async def test_changes_that_wait_matter_only_beside_a_server(server: ServerProcess) -> None:
    """A running server is found with its address; the doctor's own exit code is 1 only where something fails."""
    settings = Settings(data_dir=server.data_dir)
    found = await findings(settings)
    assert found["server"].detail == f"process {server.process.pid} is ready on {server.url}"
    server.process.send_signal(signal.SIGSTOP)
    database = Database(settings.sqlalchemy_url)
    async with database.write() as session:
        await outbox.append(session, ["acme"])
        await session.commit()
    await database.close()
    found = await findings(settings)
    assert unwell(found) == {"server": Level.FAIL, "changes": Level.WARN}
    ran = admin(server.data_dir, "--output", "json", "doctor")
    assert (ran.returncode, "fail" in {each["level"] for each in json.loads(ran.stdout)}) == (1, True)
    server.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(0.5)
    assert unwell(await findings(settings)) == {}
    assert admin(server.data_dir, "doctor").returncode == 0
