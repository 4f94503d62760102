"""From a presented text to a credential, on both databases: the query, the proof, the change of the pepper."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text, update
from tests.api_keys.people import CLIENT, People
from tests.usage.world import Clock, Key, World

from aitbc import keyformat
from aitbc.schemas.api_keys import CreateApiKey, RegenerateApiKey
from aitbc.schemas.scopes import Environment
from aitbc_server.actor import operator
from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.credentials.retagging import PepperRotation
from aitbc_server.api_keys.credentials.source import DatabaseCredentialSource
from aitbc_server.api_keys.imports import KeyImports
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.api_keys.service import ApiKeyService
from aitbc_server.db.engine import Database
from aitbc_server.db.point_reads import PointQuery
from aitbc_server.gate.loads import SourceUnavailableError
from aitbc_server.secret_keys import SecretKeys

FOREIGN = "sk-foreign-0123456789"


def source_with(world: World, secret_keys: SecretKeys, clock: Clock) -> tuple[DatabaseCredentialSource, PepperRotation]:
    digests = SecretDigests(secret_keys)
    rotation = PepperRotation(world.database, digests)
    return DatabaseCredentialSource(world.database, digests, rotation, clock), rotation


@pytest.fixture
def source(world: World, clock: Clock) -> DatabaseCredentialSource:
    return source_with(world, world.secret_keys, clock)[0]


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The SQL, and its parameters, that is sent to read while the block runs, without the transaction's own."""
    seen: list[tuple[str, Any]] = []

    def see(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if not statement.startswith(("BEGIN", "ROLLBACK")):
            seen.append((statement, parameters))

    async def ask(query: PointQuery, parameters: Any) -> Any:
        statement, values = query.on(database.reader.dialect, parameters)
        seen.append((statement, tuple(values)))
        return await asked(query, parameters)

    engine, asked = database.reader.sync_engine, database._points.ask
    event.listen(engine, "before_cursor_execute", see)
    with pytest.MonkeyPatch.context() as patches:
        # Not by way of the engine's cursors, but one statement each.
        patches.setattr(database._points, "ask", ask)
        yield seen
    event.remove(engine, "before_cursor_execute", see)


async def test_a_right_secret_gives_the_whole_record(
    source: DatabaseCredentialSource, world: World, people: People
) -> None:
    """All that the gate decides on, in one load: tenant, plan, grants, scopes, networks, limits."""
    assert people
    key = await world.add_key("acme", "test", CLIENT, also=["globex"], allowed_ips=["192.0.2.0/24"], limit_per_minute=7)
    credential = await source.load(key.text.encode())
    assert credential is not None
    record = credential.record
    assert (record.key_id, record.environment, record.scopes) == (key.id, "test", CLIENT)
    assert (record.tenant.id, record.tenant.plan, record.tenant.limit_per_minute) == ("acme", "enterprise", 6000)
    assert {tenant.id: tenant.limit_per_minute for tenant in record.granted.values()} == {"globex": 600}
    assert [str(network) for network in record.networks] == ["192.0.2.0/24"]
    assert (record.limit_per_minute, record.enabled, record.revoked) == (7, True, False)
    # The document is kept for every cached key: what changes with use is no part of it.
    assert b"last_used_at" not in record.document
    assert b"previous_secret" not in record.document
    assert len(record.document) < 600


async def test_an_uncached_key_costs_one_query(source: DatabaseCredentialSource, world: World, people: People) -> None:
    """Whatever is presented: ours or foreign, right, wrong or unknown, with grants or without."""
    granted = await world.add_key("acme", also=["globex"])
    wrong = people.manager.text[:24] + granted.text[24:67]
    for presented in (
        people.manager.text,
        granted.text,
        wrong + keyformat.checksum(wrong),
        keyformat.build("live", "0" * 12, "A" * 43),
        FOREIGN,
    ):
        with statements(world.database) as seen:
            await source.load(presented.encode())
        assert len(seen) == 1, presented


@pytest.mark.parametrize(
    "presented",
    ["", "short", "x" * 513, "aitbc_live_", "aitbc_whatever_this_is_it_has_our_prefix", "schlüssel-mit-umlaut-äöü"],
)
async def test_what_cannot_be_a_key_costs_none(
    source: DatabaseCredentialSource, world: World, people: People, presented: str
) -> None:
    """Our prefix with a bad checksum, too short, too long, not ASCII: refused without a look at the database."""
    assert people
    with statements(world.database) as seen:
        assert await source.load(presented.encode()) is None
    assert seen == []


async def test_the_query_uses_indexes(
    source: DatabaseCredentialSource, database: Database, world: World, people: People
) -> None:
    """P7: a key is found by an index among any number, ours and foreign ones alike."""
    assert world
    with statements(database) as seen:
        await source.load(people.manager.text.encode())
        await source.load(FOREIGN.encode())
    async with database.read() as session:
        connection = await session.connection()
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        if not database.is_sqlite:
            # A small table is read whole whatever its indexes: forbidden to, the planner must have another way.
            await session.execute(text("SET LOCAL enable_seqscan = off"))
        for statement, parameters in seen:
            plan = [str(row) for row in await connection.exec_driver_sql(explain + statement, parameters)]
            assert [line for line in plan if "api_keys" in line]
            assert not [line for line in plan if "SCAN api_keys" in line or "Seq Scan on api_keys" in line], plan


async def test_the_claimed_environment_must_be_the_keys(source: DatabaseCredentialSource, people: People) -> None:
    """A changed prefix makes no test key live, whatever its checksum says."""
    parts = keyformat.parse(people.test_manager.text)
    assert parts is not None
    assert await source.load(keyformat.build("live", parts.kid, parts.secret).encode()) is None
    assert await source.load(people.test_manager.text.encode()) is not None


async def test_a_copy_of_the_database_authenticates_nobody(world: World, people: People, clock: Clock) -> None:
    """S3, ASVS 6.5.2: with any other pepper, no stored digest proves anything."""
    thief, _ = source_with(world, SecretKeys([secrets.token_bytes(32)]), clock)
    for key in people:
        assert await thief.load(key.text.encode()) is None


async def test_a_planted_row_authenticates_nobody(
    source: DatabaseCredentialSource, world: World, people: People, clock: Clock
) -> None:
    """S3, ASVS 9.1.1: who can write into the database but has no pepper cannot make a key, ours or foreign."""
    assert people
    planted = SecretDigests(SecretKeys([secrets.token_bytes(32)]))
    ours = keyformat.generate("live")
    for parts, presented, found_by in (
        (ours, keyformat.build(*ours), None),
        (keyformat.KeyParts("live", "1" * 12, FOREIGN), FOREIGN, SecretDigests(world.secret_keys).lookups(FOREIGN)[0]),
    ):
        digest = planted.digest(
            planted.newest, kid=parts.kid, tenant_id="acme", environment="live", secret=parts.secret
        )
        async with world.database.write() as session:
            await session.execute(
                insert(ApiKeyRow).values(
                    kid=parts.kid, tenant_id="acme", environment="live", name="planted", scopes=["jobs:read"],
                    created_at=clock.timestamp(), allowed_ips=[], metadata_={}, digest=digest,
                    pepper_version=world.secret_keys.newest, lookup=found_by, last4="", enabled=True,
                    secret_created_at=clock.timestamp(),
                )
            )  # fmt: skip
            await session.commit()
        assert await source.load(presented.encode()) is None


@pytest.mark.parametrize(
    "moved", [{"tenant_id": "globex"}, {"environment": "test"}, {"kid": "1" * 12}], ids=lambda moved: next(iter(moved))
)
async def test_a_moved_row_authenticates_nobody(
    source: DatabaseCredentialSource, world: World, people: People, moved: dict[str, str]
) -> None:
    """S3: a digest is bound to its kid, tenant and environment; under any other it proves nothing."""
    parts = keyformat.parse(people.manager.text)
    assert parts is not None
    async with world.database.write() as session:
        await session.execute(update(ApiKeyRow).where(ApiKeyRow.kid == people.manager.kid).values(**moved))
        await session.commit()
    presented = keyformat.build(moved.get("environment", "live"), moved.get("kid", parts.kid), parts.secret)
    assert await source.load(presented.encode()) is None
    assert await source.load(people.manager.text.encode()) is None


async def test_a_swapped_digest_authenticates_nobody_else(
    source: DatabaseCredentialSource, world: World, people: People
) -> None:
    """S3: a member's digest copied over the manager's gives the member no manager key, and nobody else one."""
    async with world.database.write() as session:
        member = await session.get_one(ApiKeyRow, people.member.kid)
        values = update(ApiKeyRow).where(ApiKeyRow.kid == people.manager.kid).values(digest=member.digest)
        await session.execute(values)
        await session.commit()
    member_parts = keyformat.parse(people.member.text)
    assert member_parts is not None
    as_manager = keyformat.build("live", people.manager.kid, member_parts.secret)
    assert await source.load(as_manager.encode()) is None
    assert await source.load(people.manager.text.encode()) is None


async def test_a_database_that_fails_is_not_a_wrong_key(tmp_path: Path, world: World, clock: Clock) -> None:
    """Nothing can be told, and that is said: it turns neither into an allow nor into a 401."""
    away = World(Database(f"sqlite+aiosqlite:///{tmp_path}/empty.db"), tmp_path, clock)
    source, _ = source_with(away, world.secret_keys, clock)
    with pytest.raises(SourceUnavailableError):
        await source.load(keyformat.build("live", "0" * 12, "A" * 43).encode())
    await away.database.close()


class TestChangeOfThePepper:
    """Design 4: several versions with the newest first; a key used under an old one is re-tagged."""

    @pytest.fixture
    def both(self, world: World) -> SecretKeys:
        """A newer secret key before the one that the keys were made under."""
        old = (world.settings.data_dir / "secret.key").read_text()
        return SecretKeys.parse(secrets.token_urlsafe(48) + "\n" + old)

    @staticmethod
    async def version(world: World, key: Key) -> tuple[str, str | None]:
        """Under which versions the key's two secrets are stored."""
        async with world.database.read() as session:
            row = await session.get_one(ApiKeyRow, key.kid)
            return row.pepper_version, row.previous_pepper_version

    async def test_a_key_used_under_an_old_version_is_retagged(
        self, world: World, people: People, both: SecretKeys, clock: Clock
    ) -> None:
        """Once used, it works under the newest alone; what was not used stays for the old version.

        ASVS 11.2.2, 13.3.4.
        """
        source, rotation = source_with(world, both, clock)
        assert await source.load(people.manager.text.encode()) is not None
        await rotation.flush()
        assert await self.version(world, people.manager) == (both.newest, None)
        assert await self.version(world, people.member) == (world.secret_keys.newest, None)
        newest_alone, _ = source_with(world, SecretKeys([both._keys[both.newest]]), clock)
        assert await newest_alone.load(people.manager.text.encode()) is not None
        assert await newest_alone.load(people.member.text.encode()) is None

    async def test_foreign_keys_and_previous_secrets_too(
        self,
        world: World,
        people: People,
        both: SecretKeys,
        clock: Clock,
        imports: KeyImports,
        service: ApiKeyService,
    ) -> None:
        """A foreign key is found by the newest digest afterwards; a secret in its grace period goes on."""
        assert people
        who = operator("test", "acme")
        foreign = (await imports.import_key(who, FOREIGN, CreateApiKey(name="f", environment=Environment.LIVE))).key
        rotated = (
            await imports.import_key(who, FOREIGN + "-2", CreateApiKey(name="g", environment=Environment.LIVE))
        ).key
        await service.regenerate(who, rotated.id, RegenerateApiKey(grace_period_seconds=60))
        source, rotation = source_with(world, both, clock)
        for presented in (FOREIGN, FOREIGN + "-2"):
            assert await source.load(presented.encode()) is not None
        await rotation.flush()
        newest_alone, _ = source_with(world, SecretKeys([both._keys[both.newest]]), clock)
        found = await newest_alone.load(FOREIGN.encode())
        assert found is not None
        assert found.record.key_id == foreign.id
        previous = await newest_alone.load(f"{FOREIGN}-2".encode())
        assert previous is not None
        assert (previous.record.key_id, previous.is_previous) == (rotated.id, True)

    async def test_it_never_undoes_a_regenerate(
        self, world: World, people: People, both: SecretKeys, clock: Clock, service: ApiKeyService
    ) -> None:
        """The old secret was seen before the regenerate and is written after it: the new one stays."""
        source, rotation = source_with(world, both, clock)
        assert await source.load(people.member.text.encode()) is not None
        new = await service.regenerate(operator("test", "acme"), people.member.id, RegenerateApiKey())
        await rotation.flush()
        assert await source.load(people.member.text.encode()) is None
        assert await source.load(str(new.key).encode()) is not None

    async def test_a_write_that_fails_is_logged_and_harmless(
        self,
        world: World,
        people: People,
        both: SecretKeys,
        clock: Clock,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The key goes on under its old version, and is re-tagged when the database takes it."""
        source, rotation = source_with(world, both, clock)

        def refuse() -> None:
            raise OSError("read-only")

        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
            patch.setattr(world.database, "write", refuse)
            async with rotation.running():
                assert await source.load(people.manager.text.encode()) is not None
        assert (await self.version(world, people.manager))[0] == world.secret_keys.newest
        await rotation.flush()
        assert (await self.version(world, people.manager))[0] == both.newest


async def test_no_secret_is_stored(world: World, people: People, service: ApiKeyService, imports: KeyImports) -> None:
    """S2: no column of any key holds a presented text or its secret."""
    assert people
    who = operator("test", "acme")
    made = await service.create(who, CreateApiKey(name="canary"))
    await imports.import_key(who, FOREIGN, CreateApiKey(name="foreign"))
    parts = keyformat.parse(str(made.key))
    assert parts is not None
    async with world.database.read() as session:
        stored = "".join(str(row) for row in await session.execute(select(ApiKeyRow.__table__)))
    for secret in (parts.secret, FOREIGN, FOREIGN[3:12]):
        assert secret not in stored
