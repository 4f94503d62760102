"""Whoever changes the audit log behind the server's back is found out, and the report says where."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from sqlalchemy import text
from tests.audit.conftest import Record

from aitbc_server.actor import operator
from aitbc_server.audit import verify as verify_module
from aitbc_server.audit.service import AuditLog
from aitbc_server.audit.verify import Fault, Head, Report, read_heads, verify, write_heads
from aitbc_server.clock import system_clock
from aitbc_server.db.engine import Database
from aitbc_server.secret_keys import SecretKeys


async def tamper(database: Database, *statements: str) -> None:
    """Change the database as somebody who can write to it, but has no secret key."""
    async with database.write() as session:
        for statement in statements:
            await session.execute(text(statement))
        await session.commit()


def edit(sequence: int, column: str, value: str) -> str:
    """The statement that edits one of acme's rows."""
    return f"UPDATE audit_events SET {column} = {value} WHERE tenant_id = 'acme' AND sequence = {sequence}"  # noqa: S608


async def report(
    database: Database,
    secret_keys: SecretKeys,
    *,
    tenant_id: str | None = None,
    heads: dict[str, Head] | None = None,
) -> Report:
    """Verify everything, or one tenant."""
    async with database.read() as session:
        return await verify(session, secret_keys, tenant_id=tenant_id, heads=heads)


@pytest.fixture
async def five_events(database: Database, record: Record) -> None:
    """Five events of acme and two of another tenant."""
    for number in range(1, 6):
        await record("acme", number, after={"number": number})
    for number in range(1, 3):
        await record("other", number)


@pytest.mark.usefixtures("five_events")
async def test_an_untouched_log_is_in_order(database: Database, secret_keys: SecretKeys) -> None:
    """Its heads can be kept elsewhere, and fit later, when the log has grown."""
    found = await report(database, secret_keys)
    assert (found.ok, found.tenants, found.events) == (True, 2, 7)
    assert {tenant: head.sequence for tenant, head in found.heads.items()} == {"acme": 5, "other": 2}
    heads = read_heads(write_heads(found.heads))
    assert heads == found.heads
    assert (await report(database, secret_keys, heads=heads)).ok
    log = AuditLog(secret_keys, system_clock)
    async with database.write() as session:
        await log.record(session, operator("test", "acme"), "tenant.updated", ("tenant", "acme"))
        await session.commit()
    assert (await report(database, secret_keys, heads=heads)).ok
    assert (await report(database, secret_keys, tenant_id="other", heads=heads)).events == 2


async def test_an_empty_log_is_in_order(database: Database, secret_keys: SecretKeys) -> None:
    """Nothing was changed yet."""
    assert (await report(database, secret_keys)).ok


COLUMNS = {
    "id": "'evt_forged'",
    "time": "time + 1",
    "actor_type": "'user'",
    "actor_id": "'somebody'",
    "actor_name": "'somebody'",
    "action": "'api_key.revoked'",
    "target_type": "'tenant'",
    "target_id": "'key_other'",
    "environment": "'live'",
    "client_ip": "'192.0.2.9'",
    "request_id": "'req_other'",
    "before": "'{}'",
    "after": "'{\"number\": 3.0}'",
    "mac": "mac_of_2",
}


@pytest.mark.usefixtures("five_events")
@pytest.mark.parametrize("column", COLUMNS)
async def test_an_edited_row_is_named(database: Database, secret_keys: SecretKeys, column: str) -> None:
    """Whichever column was edited, by however little. (ASVS 16.4.2)"""
    value = COLUMNS[column].replace("mac_of_2", "(SELECT mac FROM audit_events WHERE tenant_id='acme' AND sequence=2)")
    await tamper(database, edit(3, column, value))
    found = await report(database, secret_keys)
    (finding,) = found.findings
    assert (finding.tenant_id, finding.fault, finding.sequence) == ("acme", Fault.CHANGED, 3)
    assert finding.event_id is not None
    assert set(found.heads) == {"other"}
    assert (await report(database, secret_keys, tenant_id="other")).ok


REMOVE_3 = "DELETE FROM audit_events WHERE tenant_id = 'acme' AND sequence = 3"
CLOSE_THE_GAP = "UPDATE audit_events SET sequence = sequence - 1 WHERE tenant_id = 'acme' AND sequence > 3"
COPY_3 = (
    "INSERT INTO audit_events SELECT {tenant}, {sequence}, 'evt_copy', time, actor_type, actor_id, actor_name, action,"
    " target_type, target_id, environment, client_ip, request_id, before, after, key_version, mac"
    " FROM audit_events WHERE tenant_id = 'acme' AND sequence = 3"
)
SWAP = [edit(old, "sequence", str(new)) for old, new in ((2, 99), (3, 2), (99, 3))]
CUT = "DELETE FROM audit_events WHERE tenant_id = 'acme' AND sequence > 3"
SET_HEAD = (
    "UPDATE audit_heads SET sequence = 3,"
    " mac = (SELECT mac FROM audit_events WHERE tenant_id = 'acme' AND sequence = 3) WHERE tenant_id = 'acme'"
)


@pytest.mark.usefixtures("five_events")
@pytest.mark.parametrize(
    ("statements", "fault", "sequence"),
    [
        ([REMOVE_3], Fault.MISSING, 3),
        ([REMOVE_3, CLOSE_THE_GAP], Fault.CHANGED, 3),
        ([COPY_3.format(tenant="tenant_id", sequence=6)], Fault.CHANGED, 6),
        ([COPY_3.format(tenant="tenant_id", sequence=0)], Fault.CHANGED, 0),
        (SWAP, Fault.CHANGED, 2),
        ([CUT], Fault.CUT, 4),
        (["DELETE FROM audit_events WHERE tenant_id = 'acme'"], Fault.CUT, 1),
        (["DELETE FROM audit_heads WHERE tenant_id = 'acme'"], Fault.HEAD, 5),
        ([SET_HEAD], Fault.HEAD, 5),
        ([SET_HEAD, "UPDATE audit_heads SET sequence = 5 WHERE tenant_id = 'acme'"], Fault.HEAD, 5),
    ],
)
async def test_rows_that_were_removed_inserted_or_moved_are_named(
    database: Database, secret_keys: SecretKeys, statements: list[str], fault: Fault, sequence: int
) -> None:
    """The first place where the chain is not as it was written."""
    await tamper(database, *statements)
    (finding,) = (await report(database, secret_keys)).findings
    assert (finding.tenant_id, finding.fault, finding.sequence) == ("acme", fault, sequence)


@pytest.mark.usefixtures("five_events")
async def test_a_row_that_was_moved_to_another_tenant_is_found_in_both(
    database: Database, secret_keys: SecretKeys
) -> None:
    """It is missing here and does not belong there."""
    await tamper(
        database,
        "UPDATE audit_events SET tenant_id = 'other' WHERE tenant_id = 'acme' AND sequence = 3",
    )
    findings = (await report(database, secret_keys)).findings
    assert [(each.tenant_id, each.fault, each.sequence) for each in findings] == [
        ("acme", Fault.MISSING, 3),
        ("other", Fault.CHANGED, 3),
    ]


@pytest.mark.usefixtures("five_events")
async def test_a_cut_tail_shows_against_an_exported_head(database: Database, secret_keys: SecretKeys) -> None:
    """Whoever sets the head back as well fools the chain alone, but not a head that was kept elsewhere."""
    heads = (await report(database, secret_keys)).heads
    await tamper(database, CUT, SET_HEAD)
    assert (await report(database, secret_keys)).ok
    (finding,) = (await report(database, secret_keys, heads=heads)).findings
    assert (finding.fault, finding.sequence, finding.event_id) == (Fault.CUT, 4, None)
    assert "the exported head is event 5, but the log ends with event 3" in finding.detail


@pytest.mark.usefixtures("five_events")
async def test_a_log_that_was_removed_or_written_anew_shows_too(
    database: Database, secret_keys: SecretKeys, record: Record
) -> None:
    """Even with the real server's own hand: five other events in place of the five."""
    heads = (await report(database, secret_keys)).heads
    await tamper(
        database,
        "DELETE FROM audit_events WHERE tenant_id = 'acme'",
        "DELETE FROM audit_heads WHERE tenant_id = 'acme'",
    )
    (finding,) = (await report(database, secret_keys, heads=heads)).findings
    assert (finding.tenant_id, finding.fault, finding.sequence) == ("acme", Fault.CUT, 1)
    for number in range(1, 7):
        await record("acme", number)
    assert (await report(database, secret_keys)).ok
    (finding,) = (await report(database, secret_keys, heads=heads)).findings
    assert (finding.fault, finding.sequence) == (Fault.CHANGED, 5)


@pytest.mark.parametrize(
    ("column", "value"),
    [("after", "'{'"), ("time", "'never'"), ("time", "9e300"), ("before", "x'00'"), ("sequence", "'x'")],
)
@pytest.mark.usefixtures("five_events")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_row_that_cannot_be_read_is_named(
    database: Database, secret_keys: SecretKeys, column: str, value: str
) -> None:
    """SQLite takes anything in any column; the report says which row, instead of failing."""
    await tamper(database, edit(3, column, value))
    finding = (await report(database, secret_keys)).findings[0]
    assert (finding.tenant_id, finding.sequence) == ("acme", 3)


async def test_rows_of_an_older_key_verify_while_it_is_in_force(
    database: Database, secret_keys: SecretKeys, record: Record
) -> None:
    """After a new secret key the chain goes on; without the old one its rows are said to be uncheckable, once."""
    old = b"0123456789abcdef0123456789abcdef"
    both = SecretKeys([b"f" * 32, old])
    for _ in range(2):
        await record()
    for _ in range(2):
        await record(log=AuditLog(both, system_clock))
    assert (await report(database, both)).ok
    (finding,) = (await report(database, SecretKeys([b"f" * 32]))).findings
    assert (finding.fault, finding.sequence) == (Fault.UNKNOWN_KEY, 1)
    assert f"secret key version {secret_keys.newest}, which is not among the secret keys in force" in finding.detail
    await tamper(database, "UPDATE audit_events SET action = 'x' WHERE sequence = 4")
    findings = (await report(database, SecretKeys([b"f" * 32]))).findings
    assert [(each.fault, each.sequence) for each in findings] == [(Fault.UNKNOWN_KEY, 1), (Fault.CHANGED, 4)]


async def test_a_long_log_is_read_in_parts(
    database: Database, secret_keys: SecretKeys, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log may be larger than the memory; where a part ends makes no difference."""
    monkeypatch.setattr(verify_module, "_BATCH", 3)
    for number in range(7):
        await record(number=number)
    assert (await report(database, secret_keys)).events == 7
    await tamper(database, "DELETE FROM audit_events WHERE sequence = 4")
    assert (await report(database, secret_keys)).findings[0].sequence == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-5],
        lambda text: text.replace("sequence", "sequel"),
        lambda text: text.replace('"mac"', '"mac": "x", "other"'),
        lambda text: "[]",
        lambda text: "",
    ],
)
def test_a_file_that_is_no_heads_is_refused(damage: Callable[[str], str]) -> None:
    """The text says what is wrong with it, rather than that the log was tampered with."""
    text = write_heads({"acme": Head(3, "00ff")})
    assert json.loads(text) == {"acme": {"sequence": 3, "mac": "00ff"}}
    with pytest.raises(ValueError, match="this is no file of audit heads: "):
        read_heads(damage(text))
