"""PostgreSQL is killed, or hangs, under load: keys in use go on, changes are refused, and nothing is lost (A6)."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import update
from tests.fleet import judging
from tests.fleet.conftest import SECRET_KEY, Fleet, StartFleet
from tests.support.load import Answer, Crowd, HttpClient
from tests.support.postgres_process import PostgresProcess
from tests.usage.world import Clock, World

from aitbc_server.clock import system_clock
from aitbc_server.db.engine import Database
from aitbc_server.tenants.model import PlanRow

FULL = os.environ.get("AITBC_FULL") == "1"
WRITERS = 4
AWAY_S = 10.0 if FULL else 1.0
#: A change is refused within this time, whatever became of the database: so long it is waited for where it hangs.
REFUSED_S = {"killed": 2.0, "hung": 7.0}
#: What is asked of the database for a moment only is given up after two seconds.
SOON_S = 3.5
PATIENCE = {"AITBC_STATEMENT_TIMEOUT_SECONDS": "1"}


@pytest.fixture
def own_postgres() -> Iterator[PostgresProcess]:
    """A database server that the test may kill."""
    with tempfile.TemporaryDirectory(prefix="aitbc-postgres-") as folder:
        server = PostgresProcess(Path(folder) / "data")
        yield server
        server.close()


class Writers:
    """Clients that make keys, one after the other."""

    def __init__(self, fleet: Fleet, manager: str) -> None:
        self.answers: list[Answer] = []
        self._stopping = False
        self._tasks = [
            asyncio.create_task(self._write(fleet.nodes[number % len(fleet.nodes)].port, manager))
            for number in range(WRITERS)
        ]

    async def stop(self) -> None:
        """Every change that was begun is answered."""
        self._stopping = True
        await asyncio.gather(*self._tasks)

    @property
    def made(self) -> dict[str, str]:
        """The keys that were answered: their texts by id."""
        return {each.json["id"]: each.json["key"] for each in self.answers if each.status == 201}

    async def _write(self, port: int, manager: str) -> None:
        with HttpClient(port) as client:
            while not self._stopping:
                self.answers.append(await client.ask(manager, "/v1/api-keys", {"name": "k", "scopes": ["jobs:read"]}))
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("fate", ["killed", "hung"])
async def test_keys_in_use_go_on_and_nothing_is_lost(
    start_fleet: StartFleet, own_postgres: PostgresProcess, tmp_path: Path, fate: str
) -> None:
    """Cached keys pass throughout, keys that are not cached and changes are 503; what was answered 201 is there.

    The nodes recover by themselves.
    """
    fleet = start_fleet(2, AITBC_DATABASE_URL=own_postgres.url, **PATIENCE)
    world = await new_world(own_postgres, secret_folder(tmp_path / "world"))
    for tenant_id in ("readers", "writers"):
        await world.add_tenant(tenant_id)
    reader, stranger, manager = [(await world.add_key(tenant)).text for tenant in ("readers", "readers", "writers")]
    await world.database.close()
    crowd = Crowd()
    for node in fleet.nodes:
        crowd.add("reader", node.port, reader, pause_s=0.02)
    writers = Writers(fleet, manager)
    await asyncio.sleep(1)
    async with asyncio.timeout(60):
        while len(writers.made) < WRITERS:  # noqa: ASYNC110 -- other processes' work
            await asyncio.sleep(0.1)
    going_s = time.time()
    await asyncio.to_thread(own_postgres.kill if fate == "killed" else own_postgres.hang)
    gone_s = time.time()
    with HttpClient(fleet.nodes[0].port) as client:
        unknown = [await client.ask(stranger) for _ in range(3)]
        health = await client.ask(reader, "/health/ready")
        page = await client.ask(reader, "/v1/jobs")
    await asyncio.sleep(AWAY_S)
    back_s = time.time()
    await asyncio.to_thread(own_postgres.start if fate == "killed" else own_postgres.go_on)
    await asyncio.sleep(1.5)
    await asyncio.gather(crowd.stop(), writers.stop())
    assert {each.code for each in (*unknown, health, page)} == {"unavailable"}
    assert health.json["detail"] == "The database does not answer."
    assert max(each.took_s for each in (*unknown, health)) < SOON_S
    assert page.took_s < REFUSED_S[fate]
    assert Counter(each.status for each in crowd.of("reader")) == {200: len(crowd.answers)}
    assert {each.status for each in writers.answers if each.ended_s < going_s} == {201}
    changes_are_refused(writers, gone_s, back_s, REFUSED_S[fate])
    await nothing_is_lost(fleet, writers)
    fleet.stop()
    assert await judging.counted(own_postgres.url, "readers") == {"allowed": len(crowd.answers) + len([page])}
    # Each change makes the manager's key be read anew: where that is not possible there is no decision to count.
    [counted] = (await judging.counted(own_postgres.url, "writers", manager)).values()
    assert len(writers.made) <= counted <= len(writers.answers)
    await nothing_is_half_done(own_postgres.url, fleet, writers)


def secret_folder(folder: Path) -> Path:
    """A folder with the fleet's secret key."""
    folder.mkdir()
    (folder / "secret.key").write_text(SECRET_KEY)
    (folder / "secret.key").chmod(0o600)
    return folder


async def new_world(postgres: PostgresProcess, folder: Path) -> World:
    """Puts rows into the test's own database."""
    world = World(Database(postgres.sqlalchemy_url), folder, Clock(system_clock()))
    async with world.database.write() as session:
        await session.execute(update(PlanRow).where(PlanRow.id == "enterprise").values(limit_per_minute=1_000_000))
        await session.commit()
    return world


def changes_are_refused(writers: Writers, gone_s: float, back_s: float, within_s: float) -> None:
    """503 soon, while the database is away; 201 again after."""
    meanwhile = [each for each in writers.answers if gone_s < each.began_s and each.ended_s < back_s]
    assert {each.status for each in meanwhile} == {503}
    assert max(each.took_s for each in writers.answers if each.status == 503) < within_s
    assert [each.status for each in writers.answers][-1] == 201
    assert {each.status for each in writers.answers} == {201, 503}


async def nothing_is_lost(fleet: Fleet, writers: Writers) -> None:
    """Every key that was answered works, on every node."""
    for node in fleet.nodes:
        with HttpClient(node.port) as client:
            for key in writers.made.values():
                assert (await client.ask(key)).status == 200


async def nothing_is_half_done(url: str, fleet: Fleet, writers: Writers) -> None:
    """Each key has its row in the audit log and the other way round, of which no other is cut off; and what was refused
    was not done, but for what was under way at the very moment."""
    connection = await asyncpg.connect(url)
    made = {row["kid"] for row in await connection.fetch("SELECT kid FROM api_keys WHERE name = 'k'")}
    noted = await connection.fetch("SELECT target_id FROM audit_events WHERE action = 'api_key.created'")
    await connection.close()
    assert {row["target_id"] for row in noted} == {f"key_{kid}" for kid in made}
    assert len(noted) == len(made)
    answered = {key_id.removeprefix("key_") for key_id in writers.made}
    assert answered <= made
    assert len(made - answered) <= WRITERS
    await asyncio.to_thread(fleet.nodes[0].admin, "verify-audit")
