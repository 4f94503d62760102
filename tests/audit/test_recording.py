"""Writing the audit log: one row in the change's own transaction, one chain a tenant, no secret in it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select
from tests.audit.conftest import Record

from aitbc import keyformat
from aitbc.schemas.scopes import Environment
from aitbc_server.actor import Actor, operator
from aitbc_server.audit.model import AuditEventRow
from aitbc_server.audit.service import AuditLog
from aitbc_server.audit.verify import verify
from aitbc_server.clock import from_ms, system_clock
from aitbc_server.db.engine import Database
from aitbc_server.secret_keys import SecretKeys


async def rows(database: Database) -> list[AuditEventRow]:
    """Every event, in the order of the chains."""
    async with database.read() as session:
        found = await session.scalars(select(AuditEventRow).order_by(AuditEventRow.tenant_id, AuditEventRow.sequence))
        return list(found)


async def assert_intact(database: Database, secret_keys: SecretKeys) -> None:
    """Every chain is as it was written."""
    async with database.read() as session:
        assert (await verify(session, secret_keys)).findings == []


async def test_a_row_says_who_what_when_and_from_where(database: Database, secret_keys: SecretKeys) -> None:
    """Everything that the actor is known by is in it."""
    actor = Actor(
        type="api_key",
        id="key_abc",
        name="deploy",
        tenant_id="acme",
        scopes=frozenset(),
        environment=Environment.TEST,
        client_ip="192.0.2.1",
        request_id="req_1",
    )
    async with database.write() as session:
        log = AuditLog(secret_keys, lambda: 1_795_499_190_123_999)
        await log.record(session, actor, "api_key.updated", ("api_key", "key_x"), before={"a": 1}, after={"a": 2})
        await session.commit()
    (row,) = await rows(database)
    shown = (row.tenant_id, row.sequence, row.time, row.actor_type, row.actor_id, row.actor_name, row.action)
    assert shown == ("acme", 1, from_ms(1_795_499_190_123), "api_key", "key_abc", "deploy", "api_key.updated")
    what = (row.target_type, row.target_id, row.environment, row.client_ip, row.request_id, row.before, row.after)
    assert what == ("api_key", "key_x", "test", "192.0.2.1", "req_1", {"a": 1}, {"a": 2})


async def test_a_change_that_is_rolled_back_leaves_no_row(database: Database, secret_keys: SecretKeys) -> None:
    """The row stands or falls with the change; the chain goes on without a gap. (ASVS 2.3.3)"""
    log = AuditLog(secret_keys, system_clock)
    for commits in (True, False, True):
        async with database.write() as session:
            await log.record(session, operator("test", "acme"), "tenant.updated", ("tenant", "acme"))
            if commits:
                await session.commit()
    assert [row.sequence for row in await rows(database)] == [1, 2]
    await assert_intact(database, secret_keys)


async def test_chains_never_fork(database: Database, secret_keys: SecretKeys) -> None:
    """Many changes at once, the tenant's first among them, make one chain without gap or double."""
    log = AuditLog(secret_keys, system_clock)

    async def change(number: int) -> None:
        async with database.write() as session:
            tenant_id = f"tenant-{number % 2}"
            await log.record(session, operator("test", tenant_id), "tenant.updated", ("tenant", str(number)))
            await asyncio.sleep(0.001 * (number % 3))
            await log.record(session, operator("test", tenant_id), "tenant.updated", ("tenant", str(number)))
            if number % 5:
                await session.commit()

    await asyncio.gather(*(change(number) for number in range(30)))
    found = await rows(database)
    assert [row.sequence for row in found] == [*range(1, 25), *range(1, 25)]
    await assert_intact(database, secret_keys)


@pytest.mark.parametrize(
    "value",
    [
        {"b": 1, "a": 2, "A": 3, "ä": 4, "": 5},
        {"floats": [0.1, 1.0, -0.0, 1e22, 1e-7, 5e-324, 1.7976931348623157e308, 100000000000000000000.0]},
        {"integers": [0, -1, 2**53 + 1, 2**63, -(2**70), 10**30]},
        {"texts": ["", "é", "e\u0301", "\u2028", "😀", "\\", '"', "\x7f", "\ufeff", "</script>"]},
        {"empty": [[], {}, None, True, False, [[]], {"x": {}}]},
        {"deep": [[[[[[[{"a": [1, {"b": None}]}]]]]]]]},
        {1: "a number as a name", 10: "x", 9: "y"},
        {"tuple": (1, 2), "time": from_ms(1_795_499_190_123)},
        {},
    ],
)
async def test_what_is_read_back_has_the_mac_of_what_was_stored(
    database: Database, secret_keys: SecretKeys, record: Record, value: dict[Any, Any]
) -> None:
    """Whatever JSON a change holds, on both databases."""
    await record(before=value, after=value)
    await record(after=value)
    await assert_intact(database, secret_keys)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
async def test_what_json_does_not_have_is_refused(database: Database, record: Record, value: float) -> None:
    """It would not be read back as it was written; the change does not happen either."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        await record(after={"price": value})
    assert await rows(database) == []


async def test_no_whole_key_gets_into_the_log(database: Database, secret_keys: SecretKeys, record: Record) -> None:
    """Somebody pastes a key into a name, a note or its metadata: it is masked wherever it stands. (ASVS 16.2.5)"""
    parts = keyformat.generate("live")
    canary = keyformat.build(*parts)
    actor = Actor(type="api_key", id="key_1", name=f"ci\n{canary}", tenant_id="acme", scopes=frozenset())
    await record(
        actor=actor,
        before={"name": canary, canary: 1},
        after={"metadata": {"notes": ["x", {"note": f"old\t{canary}, new {canary}"}], "é": f"é{canary}é"}},
    )
    (row,) = await rows(database)
    assert parts.secret not in repr((row.before, row.after, row.actor_name))
    masked = keyformat.mask("live", parts.kid, canary[-4:])
    assert row.before == {"name": masked, masked: 1}
    assert row.actor_name == f"ci\n{masked}"
    assert row.after["metadata"]["notes"][1]["note"] == f"old\t{masked}, new {masked}"
    await assert_intact(database, secret_keys)


async def test_an_address_that_is_too_long_does_not_stop_a_change(database: Database, record: Record) -> None:
    """It is cut to what the column takes."""
    actor = Actor(
        type="user", id=None, name=None, tenant_id="acme", scopes=frozenset(), client_ip="fe80::1%" + "x" * 99
    )
    await record(actor=actor)
    assert [row.client_ip for row in await rows(database)] == ["fe80::1%".ljust(45, "x")]


async def test_the_environment_is_that_of_what_was_changed(database: Database, record: Record) -> None:
    """Said by the caller, else by the acting key, else by the object itself."""
    key = Actor(type="api_key", id="k", name=None, tenant_id="acme", scopes=frozenset(), environment=Environment.TEST)
    await record(environment="live", after={"environment": "test"})
    await record(actor=key)
    await record(after={"environment": "live"})
    await record(before={"environment": "test"})
    await record(after={"name": "x"})
    assert [row.environment for row in await rows(database)] == ["live", "test", "live", "test", None]
