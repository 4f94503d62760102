"""A whole installation goes into a file and into another database, and is the same there."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select
from tests.jobs.market import Market
from tests.usage.world import Clock, Key, World

from aitbc_server.audit import verify
from aitbc_server.db.engine import Database
from aitbc_server.db.metadata import metadata
from aitbc_server.jobs.model import JobRow
from aitbc_server.mail.model import MailRow
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.tenants.model import PlanRow
from aitbc_server.transfer.exporting import export
from aitbc_server.transfer.importing import import_file
from aitbc_server.transfer.lines import FileError, Reader, Writer
from aitbc_server.transfer.tables import LEFT_BEHIND, TABLES
from aitbc_server.users.model import MembershipRow, UserRow


@pytest.fixture
def other_url(database_url: str, request: pytest.FixtureRequest) -> str:
    """A fresh database of the other kind."""
    url: str = request.getfixturevalue("postgres_url" if database_url.startswith("sqlite") else "sqlite_url")
    return url


@pytest.fixture
async def other(other_url: str) -> AsyncIterator[Database]:
    """The same, opened."""
    database = Database(other_url)
    yield database
    await database.close()


class Installed:
    """An installation with something of everything in it."""

    def __init__(self, market: Market, manager: Key) -> None:
        self.world: World = market.world
        self.manager = manager

    @property
    def secret_keys(self) -> SecretKeys:
        """Its secret keys."""
        return self.world.secret_keys


@pytest.fixture
async def installed(database: Database, tmp_path: Path) -> Installed:
    """Tenants, a changed plan, a person, keys and what they did, on one kind of database."""
    market = Market(database, tmp_path)
    await market.open()
    world = market.world
    async with database.write() as session:
        session.add(PlanRow(id="tiny", name="Tiny \u2014 \u00e9\U0001f511", limit_per_minute=3))
        session.add(
            UserRow(
                id="usr_1", email="ann@example.com", name="Ann", is_operator=True, created_at=world.clock.timestamp()
            )
        )
        await session.flush()
        session.add(MembershipRow(tenant_id="acme", user_id="usr_1", role="owner", created_at=world.clock.timestamp()))
        at = world.clock.timestamp()
        session.add(
            MailRow(id="m", recipient="a@b", kind="k", sealed=b"x", created_at=at, attempts=0, next_attempt_at=at)
        )
        await session.commit()
    manager = await world.add_key("acme", also=["rival"], limit_per_minute=50)
    await market.node.submit(
        market.client, {"text": 'line\nbreak "\u2028"', "big": 2**62, "small": 1e-300, "of": [None]}
    )
    await market.node.register(market.miner, "rig", capabilities={"gpu": "A100"})
    done = await market.node.work(market.miner, "rig")
    await market.node.finish(market.miner, done.job_id, "rig", answer=0.1)
    await market.node.submit(market.stranger)
    async with world.server() as client:
        made = await client.post("/v1/api-keys", headers=manager.headers, json={"name": "k", "metadata": {"a": 1.5}})
        assert made.status_code == 201
        await client.post(f"/v1/api-keys/{made.json()['id']}/revoke", headers=manager.headers)
    return Installed(market, manager)


def test_every_table_is_decided_on() -> None:
    """Who adds a table says whether it travels: it must hold no secret, and be worth something elsewhere."""
    travels = {
        "api_key_grants", "api_keys", "audit_events", "audit_heads", "idempotency_keys", "installation",
        "jobs", "memberships", "miners", "plan_requests", "plans", "tenants", "usage_days", "usage_hours",
        "usage_marks", "usage_minutes", "users",
    }  # fmt: skip
    assert {table.name for table in TABLES} == travels
    assert set(metadata.tables) == travels | set(LEFT_BEHIND)


async def rows_of(database: Database) -> dict[str, list[Any]]:
    """All that travels, as it is in the database."""
    found = {}
    async with database.reader.connect() as connection:
        for table in TABLES:
            key = [each.name for each in table.table.primary_key.columns]
            rows = (await connection.execute(select(metadata.tables[table.name]))).mappings()
            found[table.name] = sorted((dict(row) for row in rows), key=lambda row: repr([row[each] for each in key]))
    return found


async def exported(database: Database, installed: Installed) -> bytes:
    """The file."""
    file = io.BytesIO()
    await export(database, installed.secret_keys, file, installed.world.clock)
    return file.getvalue()


async def test_everything_is_the_same_on_the_other_side(
    database: Database, other: Database, installed: Installed
) -> None:
    """From SQLite to PostgreSQL and the other way: every value, every key, and the audit log, which verifies."""
    header = await import_file(other, installed.secret_keys, io.BytesIO(await exported(database, installed)))
    before = await rows_of(database)
    assert await rows_of(other) == before
    assert header.rows == {name: len(rows) for name, rows in before.items()}
    assert before["audit_events"]
    assert before["usage_minutes"]
    async with other.read() as session:
        report = await verify.verify(session, installed.secret_keys)
        assert report.ok
        assert report.events == len(before["audit_events"])
        for name in LEFT_BEHIND:
            assert not await session.scalar(select(func.count()).select_from(metadata.tables[name]))


async def test_keys_go_on_working(database: Database, other: Database, installed: Installed, tmp_path: Path) -> None:
    """The same key, with its tenant, limit and grants; nothing was generated anew."""
    await import_file(other, installed.secret_keys, io.BytesIO(await exported(database, installed)))
    moved = World(other, tmp_path, Clock())
    async with moved.server() as client:
        answer = await client.get("/v1/api-keys/self", headers=installed.manager.headers)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["tenant"]["id"], body["key"]["tenant_ids"], body["key"]["limit_per_minute"]) == ("acme", ["rival"], 50)


async def test_the_same_rows_are_the_same_file(database: Database, installed: Installed) -> None:
    """Byte for byte, at the same moment; and no line has a secret in it."""
    file = await exported(database, installed)
    assert file == await exported(database, installed)
    assert installed.manager.text.encode() not in file
    assert all(json.loads(line) is not None for line in file.splitlines())


@pytest.mark.parametrize("change", ["row", "cut", "longer", "key", "mac"])
async def test_a_file_that_is_not_whole_changes_nothing(
    database: Database, other: Database, installed: Installed, change: str
) -> None:
    """Damaged, cut off, changed by hand, or of another installation: it is said, and the database is as it was."""
    file = await exported(database, installed)
    lines = file.splitlines(keepends=True)
    secret_keys = installed.secret_keys
    if change == "row":
        file = file.replace(b'["tiny","Tiny', b'["tiny","Tino')
    elif change == "cut":
        file = b"".join(lines[:-3])
    elif change == "longer":
        file += lines[3]
    elif change == "key":
        secret_keys = SecretKeys([b"another secret key of thirty-two and more"])
    else:
        end = json.loads(lines[-1]) | {"mac": "0" * 64}
        file = b"".join([*lines[:-1], json.dumps(end).encode(), b"\n"])
    before = await rows_of(other)
    said = {"row": "changed or damaged", "cut": "ends in the middle", "longer": "behind", "key": "another secret key"}
    with pytest.raises(FileError, match=said.get(change, "changed after")):
        await import_file(other, secret_keys, io.BytesIO(file))
    assert await rows_of(other) == before


@pytest.mark.parametrize("line", [b"", b"\n", b"nonsense\n", b"{}\n", b'{"format": "x"}\n', b"\xff\xfe\n", b"[" * 500])
def test_what_is_no_export_is_refused(line: bytes) -> None:
    """Any other file: one clear line."""
    with pytest.raises(FileError, match=r"aitbc admin export|ends in the middle"):
        Reader(io.BytesIO(line), SecretKeys([b"a secret key of thirty-two characters"]))


async def test_a_database_in_use_is_never_imported_into(database: Database, installed: Installed) -> None:
    """Not even its own export."""
    file = await exported(database, installed)
    before = await rows_of(database)
    with pytest.raises(FileError, match="not empty"):
        await import_file(database, installed.secret_keys, io.BytesIO(file))
    assert await rows_of(database) == before


async def test_a_file_of_another_schema_is_refused(database: Database, other: Database, installed: Installed) -> None:
    """Both sides are brought to one release first."""
    file = await exported(database, installed)
    lines = file.replace(b'"schema":"', b'"schema":"0001 was ', 1).splitlines()
    with pytest.raises(FileError, match="schema 0001"):
        await import_file(other, installed.secret_keys, signed(lines, installed.secret_keys))


def signed(lines: list[bytes], secret_keys: SecretKeys) -> io.BytesIO:
    """These lines as a file that is proved whole; the last of them is another's proof, and is written anew."""
    file = io.BytesIO()
    writer = Writer(file, secret_keys)
    writer.write(lines[:-1])
    writer.end(json.loads(lines[-1])["rows"])
    file.seek(0)
    return file


# A plan's limit that no column of a database holds; a list in a list in a list. Both are JSON.
HOSTILE: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "number": (b'["tiny"', lambda row: row.rpartition(b",")[0] + b",%d]" % 2**63),
    "nested": (b'["job_', lambda row: row.partition(b"{")[0] + b"[" * 100_000),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("proved", [True, False])
async def test_nothing_of_a_changed_file_is_taken_for_a_row(
    database: Database, other: Database, installed: Installed, what: str, *, proved: bool
) -> None:
    """Whoever edits it may count and digest anew, but has no secret key; and a row that cannot be is refused too."""
    start, change = HOSTILE[what]
    lines = (await exported(database, installed)).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(start))
    lines[at] = change(lines[at])
    file, said = signed(lines, installed.secret_keys), rf"^line \d+.*{'plans' if what == 'number' else 'jobs'}"
    if not proved:
        end = json.loads(file.getvalue().splitlines()[-1]) | {"mac": json.loads(lines[-1])["mac"]}
        file = io.BytesIO(b"\n".join([*lines[:-1], json.dumps(end).encode(), b""]))
        said = "^the file was changed after it was made$"
    before = await rows_of(other)
    with pytest.raises(FileError, match=said):
        await import_file(other, installed.secret_keys, file)
    assert await rows_of(other) == before


@pytest.mark.parametrize("mac", ["é", "\ud800", "", "🔑"])
async def test_a_proof_of_any_text_is_compared(database: Database, installed: Installed, mac: str) -> None:
    """It is wrong, and no error of the comparison."""
    lines = (await exported(database, installed)).splitlines()
    lines[-1] = json.dumps(json.loads(lines[-1]) | {"mac": mac}).encode()
    with pytest.raises(FileError, match=r"changed after|ends in the middle"):
        Reader(io.BytesIO(b"\n".join([*lines, b""])), installed.secret_keys)


@pytest.mark.parametrize("at", [0, -1])
async def test_a_line_around_the_rows_may_be_nested(database: Database, installed: Installed, at: int) -> None:
    """In a field that nobody asked for: it is refused as any other damage."""
    lines = (await exported(database, installed)).splitlines()
    lines[at] = lines[at][:-1] + b',"x":' + b"[" * 100_000
    with pytest.raises(FileError, match="export"):
        Reader(io.BytesIO(b"\n".join([*lines, b""])), installed.secret_keys)


async def test_a_row_that_the_database_refuses_names_its_lines(
    database: Database, other: Database, installed: Installed
) -> None:
    """A row twice, as somebody may paste it: the lines and the database's own words."""
    file = await exported(database, installed)
    lines = file.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(b'["tiny"'))
    lines[at] = lines[at - 1]
    with pytest.raises(FileError, match=r"^line \d+ to \d+ \(plans\): .*(UNIQUE|duplicate)"):
        await import_file(other, installed.secret_keys, signed(lines, installed.secret_keys))


async def test_memory_does_not_grow_with_the_rows(database: Database, other: Database, installed: Installed) -> None:
    """Twenty megabytes of jobs pass through a few, on the way out and in."""
    async with database.write() as session:
        row = (await session.scalars(select(JobRow).limit(1))).one()
        columns = {each.name: getattr(row, each.name) for each in JobRow.__table__.c}
        jobs = [columns | {"id": f"job_{number}", "payload": {"text": "x" * 100_000}} for number in range(200)]
        await session.execute(delete(JobRow))
        await session.execute(insert(JobRow), jobs)
        await session.commit()
    jobs.clear()
    tracemalloc.start()
    try:
        with open(installed.world.settings.data_dir / "file", "w+b") as file:  # noqa: ASYNC230, PTH123 - a file of a test
            await export(database, installed.secret_keys, file, installed.world.clock)
            assert file.tell() > 20_000_000
            file.seek(0)
            await import_file(other, installed.secret_keys, file)
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()
