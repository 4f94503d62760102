"""When and from where a key was last used: fresh in every answer, seldom written, never backwards."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from tests.usage.world import START_US, Key, World

from aitbc import keyformat
from aitbc.schemas.api_keys import ApiKey
from aitbc_server.api_keys.credentials.digests import SecretDigests
from aitbc_server.api_keys.credentials.retagging import PepperRotation
from aitbc_server.api_keys.credentials.source import DatabaseCredentialSource
from aitbc_server.api_keys.loading import api_key
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.clock import US_PER_S, from_ms
from aitbc_server.gate.credential import Credential
from aitbc_server.usage import last_use
from aitbc_server.usage.last_use import LastUses

GRACE_END_US = START_US + 3600 * US_PER_S


@pytest.fixture
async def key(world: World) -> Key:
    """A key with a previous secret in its grace period."""
    await world.add_tenant("acme")
    return await world.add_key("acme", previous_expires_at=from_ms(GRACE_END_US // 1000), previous_digest=bytes(32))


@pytest.fixture
def uses(world: World) -> LastUses:
    """What a server knows of last use."""
    return LastUses(world.database, world.clock)


async def row(world: World, key: Key) -> ApiKeyRow:
    """The key as the database has it."""
    async with world.database.read() as session:
        found = await session.get(ApiKeyRow, key.kid)
        assert found is not None
        return found


async def credential(world: World, key: Key, *, previous: bool = False) -> Credential:
    """What the gate found for the key's current or previous secret."""
    digests = SecretDigests(world.secret_keys)
    source = DatabaseCredentialSource(world.database, digests, PepperRotation(world.database, digests), world.clock)
    found = await source.load(key.text.encode())
    assert found is not None
    return Credential(found.record, previous, GRACE_END_US if previous else None)


async def previous_secret(world: World, key: Key) -> dict[str, str]:
    """Headers with another secret of the key, in its grace period."""
    parts = keyformat.parse(key.text)
    assert parts is not None
    older = parts._replace(secret=keyformat.random_base62(keyformat.SECRET_LENGTH))
    async with world.database.write() as session:
        changed = await session.get(ApiKeyRow, key.kid)
        assert changed is not None
        changed.previous_digest = world.digest(older, "acme")
        changed.previous_pepper_version = changed.pepper_version
        changed.previous_expires_at = from_ms(GRACE_END_US // 1000)
        await session.commit()
    return {"X-API-Key": keyformat.build(*older)}


async def shown(world: World, key: Key) -> ApiKey:
    """The key's wire object as the database has it."""
    return api_key(await row(world, key), (), world.clock.timestamp())


def tail(uses: LastUses, credential: Credential) -> Any:
    """The fields that ``/self`` adds, parsed."""
    return json.loads(b'{"id":1' + uses.document_tail(credential))


async def test_the_first_use_is_written_with_the_next_flush(world: World, key: Key, uses: LastUses) -> None:
    """Time, cut to milliseconds, and address."""
    world.clock.now_us += 1999
    uses.used(await credential(world, key), world.clock(), "192.0.2.7")
    assert (await row(world, key)).last_used_at is None
    await uses.flush()
    found = await row(world, key)
    assert (found.last_used_at, found.last_used_ip) == (from_ms(START_US // 1000 + 1), "192.0.2.7")
    assert found.previous_last_used_at is None


async def test_a_busy_key_is_written_once_a_minute(
    world: World, key: Key, uses: LastUses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is used; and its last use of all is written when it goes quiet."""
    writes = 0
    execute_write = LastUses._write

    async def spy(self: LastUses, kids: Any) -> None:
        nonlocal writes
        writes += 1
        await execute_write(self, kids)

    monkeypatch.setattr(LastUses, "_write", spy)
    used = await credential(world, key)
    for second in range(150):
        world.clock.now_us = START_US + second * US_PER_S
        if second < 100:
            uses.used(used, world.clock(), "192.0.2.7")
        await uses.flush()
    assert writes == 3
    assert (await row(world, key)).last_used_at == from_ms(START_US // 1000 + 99_000)
    for second in range(150, 250):
        world.clock.now_us = START_US + second * US_PER_S
        await uses.flush()
    assert writes == 3
    assert (uses._held, uses._waiting, uses._written_at_us) == ({}, {}, {})


async def test_of_a_busy_key_nothing_is_kept_twice(world: World, key: Key, uses: LastUses) -> None:
    """Within its minute a credential is told of once, answers know its newest use, and so does whoever replaces it."""
    used, loaded_again = await credential(world, key), await credential(world, key)
    uses.used(used, world.clock(), "192.0.2.7")
    await uses.flush()
    for _ in range(5):
        world.clock.now_us += US_PER_S
        uses.used(used, world.clock(), "192.0.2.7")
        await uses.flush()
        assert uses._waiting == {key.kid: [used]}
        assert uses.freshen(await shown(world, key)).last_used_at == world.clock.timestamp()
    uses.used(loaded_again, world.clock() + US_PER_S, "192.0.2.8")
    uses.used(used, world.clock(), "192.0.2.7")
    world.clock.now_us = START_US + 61 * US_PER_S
    await uses.flush()
    found = await row(world, key)
    assert (found.last_used_at, found.last_used_ip) == (from_ms(START_US // 1000 + 6000), "192.0.2.8")


async def test_a_stop_writes_everything(world: World, key: Key, uses: LastUses) -> None:
    """Also what would have waited for its minute."""
    used = await credential(world, key)
    uses.used(used, world.clock(), None)
    await uses.flush()
    world.clock.now_us += US_PER_S
    async with uses.running():
        uses.used(used, world.clock(), "192.0.2.8")
    found = await row(world, key)
    assert (found.last_used_at, found.last_used_ip) == (world.clock.timestamp(), "192.0.2.8")


async def test_it_never_runs_backwards(world: World, key: Key, uses: LastUses) -> None:
    """Another node, or a clock that was stepped back, does not undo a later use."""
    uses.used(await credential(world, key), START_US, "192.0.2.7")
    await uses.flush()
    other = LastUses(world.database, world.clock)
    other.used(await credential(world, key), START_US - US_PER_S, "192.0.2.6")
    await other.flush()
    found = await row(world, key)
    assert (found.last_used_at, found.last_used_ip) == (from_ms(START_US // 1000), "192.0.2.7")
    fresh = other.freshen(api_key(found, (), world.clock.timestamp()))
    assert (fresh.last_used_at, fresh.last_used_ip) == (from_ms(START_US // 1000), "192.0.2.7")


async def test_an_answer_is_fresher_than_the_database(world: World, key: Key, uses: LastUses) -> None:
    """Whoever shows a key puts the newest use in, before and after a flush."""
    current, previous = await credential(world, key), await credential(world, key, previous=True)
    assert uses.freshen(await shown(world, key)).last_used_at is None
    uses.used(previous, START_US, "192.0.2.7")
    uses.used(current, START_US + US_PER_S, "192.0.2.8")
    for _ in range(2):
        fresh = uses.freshen(await shown(world, key))
        assert (fresh.last_used_at, fresh.last_used_ip) == (from_ms(START_US // 1000 + 1000), "192.0.2.8")
        assert fresh.previous_secret is not None
        assert fresh.previous_secret.last_used_at == from_ms(START_US // 1000)
        await uses.flush()
    found = await row(world, key)
    assert (found.last_used_at, found.previous_last_used_at) == (
        from_ms(START_US // 1000 + 1000),
        from_ms(START_US // 1000),
    )


async def test_an_older_previous_secret_does_not_speak_for_the_newer(world: World, key: Key, uses: LastUses) -> None:
    """After another regeneration the previous secret is another one, and has not been used."""
    old = await credential(world, key, previous=True)
    uses.used(old, START_US, "192.0.2.7")
    later = from_ms(GRACE_END_US // 1000 + 1000)
    async with world.database.write() as session:
        changed = await session.get(ApiKeyRow, key.kid)
        assert changed is not None
        changed.previous_expires_at = later
        await session.commit()
    fresh = uses.freshen(await shown(world, key))
    assert fresh.previous_secret is not None
    assert fresh.previous_secret.last_used_at is None
    assert tail(uses, await credential(world, key))["previous_secret"]["last_used_at"] is None
    await uses.flush()
    assert (await row(world, key)).previous_last_used_at is None


async def test_self_shows_what_the_api_would_show(world: World, key: Key, uses: LastUses) -> None:
    """The fields that /self adds by hand are the ones of the key's object, byte for byte the same times."""
    current, previous = await credential(world, key), await credential(world, key, previous=True)
    assert tail(uses, current)["previous_secret"] == {"expires_at": "2026-11-24T06:46:30.000Z", "last_used_at": None}
    uses.used(previous, START_US + 5000, "2001:db8::1")
    uses.used(current, START_US + 1_999_999, "2001:db8::2")
    assert tail(uses, current) == {
        "id": 1,
        "last_used_at": "2026-11-24T05:46:31.999Z",
        "last_used_ip": "2001:db8::2",
        "previous_secret": {"expires_at": "2026-11-24T06:46:30.000Z", "last_used_at": "2026-11-24T05:46:30.005Z"},
    }
    await uses.flush()
    reloaded = await credential(world, key)
    later = LastUses(world.database, world.clock)
    later.used(reloaded, START_US + 2 * US_PER_S, None)
    assert tail(later, reloaded)["previous_secret"]["last_used_at"] == "2026-11-24T05:46:30.005Z"
    assert tail(later, reloaded)["last_used_ip"] is None
    world.clock.now_us = GRACE_END_US
    assert tail(uses, current)["previous_secret"] is None


async def test_a_failed_write_is_tried_again(
    world: World, key: Key, uses: LastUses, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that is away delays it; one that is away at the end loses it, and the log says so."""

    async def away(self: AsyncSession) -> None:
        raise ConnectionRefusedError("the database is away")

    uses.used(await credential(world, key), world.clock(), None)
    with monkeypatch.context() as patched:
        patched.setattr(AsyncSession, "commit", away)
        with pytest.raises(ConnectionRefusedError):
            await uses.flush()
        async with uses.running():
            pass
    assert "the last use of some keys was not stored" in caplog.text
    assert (await row(world, key)).last_used_at is None
    await uses.flush()
    assert (await row(world, key)).last_used_at == world.clock.timestamp()


async def test_many_keys_are_written_in_short_transactions(
    world: World, uses: LastUses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other writers get their turn, and an address that is longer than its column harms nobody else's."""
    monkeypatch.setattr(last_use, "KEYS_A_TRANSACTION", 2)
    await world.add_tenant("acme")
    keys = [await world.add_key("acme") for _ in range(5)]
    for number, each in enumerate(keys):
        uses.used(await credential(world, each), world.clock(), f"fe80::{number}%{'x' * 100}")
    await uses.flush()
    for number, each in enumerate(keys):
        assert ((await row(world, each)).last_used_ip or "") == f"fe80::{number}%".ljust(45, "x")


async def test_a_request_that_is_refused_before_the_limits_is_no_use(world: World, uses: LastUses) -> None:
    """An expired or disabled key does not look as if it were in use; one that is rate limited does."""
    await world.add_tenant("acme", "free")
    disabled = await world.add_key("acme", enabled=False)
    limited = await world.add_key("acme", limit_per_minute=1)
    async with world.server() as client:
        assert (await client.get("/v1/usage", headers=disabled.headers)).status_code == 401
        for expected in (200, 429):
            world.clock.now_us += US_PER_S
            assert (await client.get("/v1/usage", headers=limited.headers)).status_code == expected
    assert (await row(world, disabled)).last_used_at is None
    found = await row(world, limited)
    assert (found.last_used_at, found.last_used_ip) == (world.clock.timestamp(), "192.0.2.1")


async def test_an_old_secret_that_is_refused_is_still_in_use(world: World, uses: LastUses) -> None:
    """Whoever asks whether a program still holds it is told, at whatever the request fails; the key itself is not used.

    Past its grace it is nothing that anybody asks about.
    """
    await world.add_tenant("acme")
    key = await world.add_key("acme", scopes=[])
    old = await previous_secret(world, key)
    async with world.server() as client:
        assert (await client.get("/v1/jobs", headers=old)).status_code == 403
        world.clock.now_us += 5 * US_PER_S
        assert (await client.get("/v1/api-keys/self", headers=old)).status_code == 403
        refused_at = world.clock.timestamp()
        world.clock.now_us = GRACE_END_US
        assert (await client.get("/v1/jobs", headers=old)).status_code == 401
    found = await row(world, key)
    assert (found.last_used_at, found.previous_last_used_at) == (None, refused_at)


async def test_a_refused_old_secret_is_shown_at_once_and_written_once_a_minute(
    world: World, key: Key, uses: LastUses
) -> None:
    """As its uses are; nothing is left in memory when it goes quiet."""
    previous = await credential(world, key, previous=True)
    uses.previous_refused(previous, START_US)
    fresh = uses.freshen(await shown(world, key))
    assert fresh.previous_secret is not None
    assert (fresh.previous_secret.last_used_at, fresh.last_used_at) == (from_ms(START_US // 1000), None)
    written = []
    for second in range(200):
        world.clock.now_us = START_US + second * US_PER_S
        if second < 90:
            uses.previous_refused(previous, world.clock())
        await uses.flush()
        at = (await row(world, key)).previous_last_used_at
        if at is not None and at not in written:
            written.append(at)
    assert written == [from_ms(START_US // 1000 + second * 1000) for second in (0, 60, 89)]
    assert (uses._held, uses._previous, uses._refused, uses._written_at_us) == ({}, {}, set(), {})


async def test_no_use_is_lost_to_a_flush_on_another_thread(world: World, uses: LastUses) -> None:
    """Keys are used while what was used is written: in the end, the database has the last use of each."""
    await world.add_tenant("acme")
    keys = [await world.add_key("acme") for _ in range(20)]
    credentials = [await credential(world, each) for each in keys]
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def use_all() -> None:
        for number in range(1, 2001):
            uses.used(credentials[number % 20], START_US + number * US_PER_S, f"192.0.2.{number % 7}")

    using = asyncio.create_task(asyncio.to_thread(use_all))
    while not using.done():
        await uses.flush(everything=True)
        await asyncio.sleep(0)
    sys.setswitchinterval(before_s)
    await using
    await uses.flush(everything=True)
    for number, each in enumerate(keys):
        last = 1980 + number if number else 2000
        found = await row(world, each)
        assert (found.last_used_at, found.last_used_ip) == (
            from_ms(START_US // 1000 + last * 1000),
            f"192.0.2.{last % 7}",
        )
