"""Operators' commands beside a running server: what they change is in effect the moment that they return."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.e2e.processes import START_S, ServerProcess, admin, running, start
from tests.support.valkey import ValkeyProcess

from aitbc import keyformat


def answer(server: ServerProcess, key: str, **headers: str) -> tuple[int, str]:
    """Status and error code (or plan) of a request with ``key``."""
    got = httpx2.get(f"{server.url}/v1/api-keys/self", headers={"x-api-key": key, **headers})
    body = got.json()
    return got.status_code, body["code"] if "code" in body else body["tenant"]["plan"]


def test_every_change_is_in_effect_when_its_command_returns(server: ServerProcess) -> None:
    """Create, suspend, resume, set-plan, a plan's limit: the next request sees it (ASVS 8.3.2)."""
    server.create_tenant("acme", "free")
    key = server.create_key("acme", "manager")
    assert answer(server, key) == (200, "free")
    assert server.admin("suspend-tenant", "acme")["status"] == "suspended"
    assert answer(server, key) == (403, "tenant_suspended")
    assert server.admin("resume-tenant", "acme")["status"] == "active"
    assert answer(server, key) == (200, "free")
    assert server.admin("set-plan", "acme", "pro")["plan"] == "pro"
    assert answer(server, key) == (200, "pro")
    server.admin("create-plan", "--id", "tiny", "--limit-per-minute", "1")
    server.admin("set-plan", "acme", "tiny")
    assert answer(server, key) == (429, "rate_limit_exceeded")
    assert server.admin("update-plan", "tiny", "--limit-per-minute", "100")["limit_per_minute"] == 100
    assert answer(server, key) == (200, "tiny")
    events = httpx2.get(f"{server.url}/v1/audit-log", headers={"x-api-key": key}).json()["items"]
    assert [event["action"] for event in reversed(events)] == [
        "tenant.created",
        "api_key.created",
        "tenant.suspended",
        "tenant.resumed",
        "tenant.plan_changed",
        "tenant.plan_changed",
    ]
    assert {event["actor"]["type"] for event in events} == {"operator"}
    assert server.admin("verify-audit")["findings"] == []


def test_keys_for_further_tenants_for_a_while_and_for_gateways(server: ServerProcess) -> None:
    """A granted tenant is the header's to choose; --gateway keys check the keys of every tenant."""
    for tenant in ("acme", "other"):
        server.create_tenant(tenant, "free" if tenant == "acme" else "pro")
    made = server.admin(
        "create-key", "--tenant", "acme", "--preset", "client", "--also-tenant", "other", "--expires", "1d"
    )
    assert (made["tenant_ids"], made["environment"], made["name"]) == (["other"], "live", "acme client")
    assert made["expires_at"].endswith("Z")
    assert answer(server, made["key"]) == (200, "free")
    assert answer(server, made["key"], **{"x-tenant-id": "other"}) == (200, "pro")
    gateway = server.admin("create-key", "--gateway")
    assert (gateway["tenant_id"], gateway["preset"]) == ("operator", "gateway")
    checked = httpx2.post(
        f"{server.url}/v1/api-keys/verify", headers={"x-api-key": gateway["key"]}, json={"key": made["key"]}
    )
    assert (checked.json()["valid"], checked.json()["tenant_id"]) == (True, "acme")


def test_the_key_alone_is_on_standard_output(tmp_path: Path) -> None:
    """``KEY=$(aitbc admin create-key ...)`` works, on a folder that no server has seen yet."""
    data = tmp_path / "data"
    assert admin(data, "create-tenant", "--id", "acme", "--plan", "free").stdout == ""
    made = admin(data, "create-key", "--tenant", "acme")
    assert keyformat.parse(made.stdout.rstrip("\n")) is not None
    assert "the only time that the key is shown" in made.stderr
    assert stat.S_IMODE((data / "aitbc.db").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify-audit",),
        ("list-tenants",),
        ("list-plans",),
        ("suspend-tenant", "acme"),
        ("create-key", "--tenant", "acme"),
        ("import-keys", os.devnull),
        ("disable-user", "--email", "ann@example.com"),
        ("export", "-"),
        ("renew-fences",),
    ],
)
def test_a_place_without_an_installation_is_called_one(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A mistyped AITBC_DATA_DIR: nothing is made, and nothing is said to be well."""
    data = tmp_path / "nowhere"
    ran = admin(data, *arguments)
    assert (ran.returncode, ran.stdout) == (5, "")
    assert ran.stderr == f"error: there is no installation in {data}\nhint: AITBC_DATA_DIR names its folder\n"
    assert not data.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("migrate",),
        ("create-tenant", "--id", "acme", "--plan", "free"),
        ("create-plan", "--id", "tiny", "--limit-per-minute", "1"),
        ("create-key", "--gateway"),
        ("create-user", "--email", "ann@example.com"),
    ],
)
def test_what_makes_an_installation_says_so(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The first of them, and no other; the folder ignores itself in git."""
    data = tmp_path / "data"
    made = f"Made a new database in {data}.\n"
    assert made in admin(data, *arguments).stderr
    assert made not in admin(data, "migrate").stderr
    assert (data / ".gitignore").read_text(encoding="utf-8") == "*\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("create-tenant", "--id", "acme", "--plan", "free"), 1, "There is a tenant acme already."),
        (("create-tenant", "--id", "Acme", "--plan", "free"), 2, "id: must be 1 to 63 lower case letters"),
        (("create-tenant", "--id", "operator", "--plan", "free"), 2, "id: operator is the operators' own tenant"),
        (("create-tenant", "--id", "new", "--plan", "gold"), 2, "plan: there is no plan gold; there are free, pro,"),
        (("set-plan", "nobody", "pro"), 5, "There is no tenant nobody."),
        (("suspend-tenant", "nobody"), 5, "There is no tenant nobody."),
        (("create-plan", "--id", "key", "--limit-per-minute", "5"), 2, "id: key is the name of a key's own limit"),
        (("create-plan", "--id", "free", "--limit-per-minute", "5"), 1, "There is a plan free already."),
        (("update-plan", "gold", "--name", "Gold"), 5, "There is no plan gold."),
        (("update-plan", "free"), 2, "nothing to change"),
        (("create-key", "--tenant", "nobody"), 5, "There is no tenant nobody."),
        (("create-key", "--tenant", "acme", "--also-tenant", "nobody"), 5, "There is no tenant nobody."),
        (("create-key", "--tenant", "acme", "--name", "n" * 101), 2, "name: must have at most 100 characters"),
        (("create-key", "--tenant", "acme", "--name", ""), 2, "name: must have a character that can be seen"),
        (("create-tenant", "--id", "new", "--plan", "free", "--name", ""), 2, "name: must have a character that"),
        (("create-key",), 2, "missing option --tenant; or --gateway"),
        (("create-key", "--gateway", "--tenant", "acme"), 2, "--gateway goes without --tenant"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(acme: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    """The error says what is wrong, and the exit code tells wrong words from missing objects."""
    ran = admin(acme, *arguments)
    assert ran.returncode == code
    assert ran.stdout == ""
    assert f"error: {message}" in ran.stderr or message in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one tenant, that no command here changes."""
    folder = tmp_path_factory.mktemp("acme") / "data"
    assert admin(folder, "create-tenant", "--id", "acme", "--plan", "free").returncode == 0
    return folder


def test_keys_of_another_system_go_on_working(server: ServerProcess, tmp_path: Path) -> None:
    """import-keys takes a file as a whole or not at all, twice without harm, and never quotes a key."""
    server.create_tenant("acme")
    good = {"key": "sk-legacy-0123456789abcdef", "tenant": "acme", "environment": "live", "preset": "client"}
    file = tmp_path / "keys.jsonl"
    bad: list[dict[str, Any]] = [
        {"preset": good["key"]},
        {"tenant": "A B"},
        {good["key"]: 1},
        {"tennant": "acme"},
        {"key": "short"},
    ]
    bad_lines = ["{", *(json.dumps({**good, "key": good["key"] + str(n), **each}) for n, each in enumerate(bad))]
    nowhere = {**good, "key": "sk-legacy-for-nobody", "tenant": "nobody"}
    bad_lines += ["[1]", json.dumps(good), json.dumps(nowhere)]
    file.write_text("\n".join([json.dumps(good), *bad_lines]), encoding="utf-8")
    refused = admin(server.data_dir, "import-keys", str(file))
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "error: nothing was imported:",
        "  line 2: this is no JSON object",
        "  line 3: preset: must be one of client, miner, manager, gateway",
        "  line 4: tenant: must be 1 to 63 lower case letters, digits and hyphens, without a hyphen at either end",
        "  line 5: a field: is not a field that is known here",
        "  line 6: tennant: is not a field that is known here",
        "  line 7: key: must have 16 to 512 characters",
        "  line 8: this is no JSON object",
        "  line 9: key: it stands on line 1 already",
        "  line 10: tenant: there is no such tenant",
    ]
    assert "sk-legacy" not in refused.stderr
    assert answer(server, good["key"]) == (401, "invalid_api_key")
    file.write_text(json.dumps(good) + "\n\n", encoding="utf-8")
    imported = server.admin("import-keys", str(file))
    assert [(key["name"], key["tenant_id"]) for key in imported] == [("imported client", "acme")]
    assert answer(server, good["key"]) == (200, "pro")
    assert server.admin("import-keys", str(file))[0]["id"] == imported[0]["id"]
    told = admin(server.data_dir, "import-keys", str(file)).stderr
    assert told.startswith("Imported no new keys; 1 was here already.\nNow delete the file: ")
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({**good, "key": "sk-legacy-another-one"}))
    told = admin(server.data_dir, "import-keys", str(file)).stderr
    assert told.startswith("Imported 1 new key; 1 was here already.\n")
    file.write_text("", encoding="utf-8")
    assert admin(server.data_dir, "import-keys", str(file)).stderr == "Imported no keys.\n"


def test_a_server_that_does_not_answer_is_not_hidden(server: ServerProcess) -> None:
    """A change that the server has not confirmed is committed, shown, and said to be unconfirmed: exit code 1."""
    server.create_tenant("acme")
    server.process.send_signal(signal.SIGSTOP)
    try:
        made = admin(server.data_dir, "create-key", "--tenant", "acme")
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert made.returncode == 1
    assert "error: the change is committed, but the running server has not confirmed it within 10 s" in made.stderr
    assert answer(server, made.stdout.strip()) == (200, "pro")


def test_a_fleet_without_its_valkey_is_told_as_it_is(tmp_path: Path, own_valkey: ValkeyProcess) -> None:
    """The command waits for Valkey, says what is missing, and nothing of a server; the change is in effect where nobody
    reaches it, and `renew-fences` finishes what was left.
    """
    variables = {"AITBC_VALKEY_URL": own_valkey.url}
    with running("serve", data_dir=tmp_path / "data", variables=variables) as server:
        server.create_tenant("acme")
        key = server.create_key("acme", "client")
        assert answer(server, key) == (200, "pro")
        own_valkey.kill()
        suspended = admin(server.data_dir, "suspend-tenant", "acme", variables=variables)
        assert suspended.returncode == 1
        assert "The tenant acme is suspended" in suspended.stderr
        assert "error: the change is committed, but Valkey has not taken it within 10 s: " in suspended.stderr
        assert "hint: nodes that do not reach Valkey have it in effect already, all others when it" in suspended.stderr
        assert "server" not in suspended.stderr
        assert answer(server, key) == (403, "tenant_suspended")
    own_valkey.start()
    # No node runs, and none is needed.
    assert admin(server.data_dir, "renew-fences", variables=variables).returncode == 0
    with closing(sqlite3.connect(server.data_dir / "aitbc.db")) as database:
        assert database.execute("SELECT count(*) FROM fence_outbox WHERE drained_at IS NULL").fetchall() == [(0,)]


def test_a_tampered_audit_log_is_named(tmp_path: Path) -> None:
    """verify-audit names the tenant and the event; a head that was kept elsewhere shows a cut tail."""
    data = tmp_path / "data"
    for command in (("create-tenant", "--id", "acme", "--plan", "free"), ("set-plan", "acme", "pro")):
        assert admin(data, *command).returncode == 0
    head = tmp_path / "head.json"
    assert admin(data, "verify-audit", "--write-head", str(head)).returncode == 0
    assert admin(data, "verify-audit", "--head", str(head)).returncode == 0
    _execute(data, 'UPDATE audit_events SET after = \'{"plan": "free"}\' WHERE sequence = 2')
    edited = admin(data, "verify-audit")
    assert edited.returncode == 1
    assert edited.stderr.startswith("error: tenant acme, event 2 (evt_")
    _execute(data, "DELETE FROM audit_events WHERE sequence = 2")
    _execute(data, "UPDATE audit_heads SET sequence = 1, mac = (SELECT mac FROM audit_events)")
    assert admin(data, "verify-audit").returncode == 0
    cut = admin(data, "verify-audit", "--head", str(head))
    assert cut.returncode == 1
    assert "the newest events were removed" in cut.stderr
    for text, why in (
        (b"[]", "it must be an object that has an object with sequence and mac for each tenant"),
        (b'{"acme": {"mac": ""}}', "sequence is required"),
        (b"{", "it is not JSON"),
        (b"\xff", "it is not UTF-8"),
    ):
        head.write_bytes(text)
        unread = admin(data, "verify-audit", "--head", str(head))
        assert (unread.returncode, unread.stderr) == (1, f"error: {head}: this is no file of audit heads: {why}\n")


def test_on_postgresql_the_same_holds(tmp_path: Path, fresh_postgres: str) -> None:
    """The schema is a person's decision there, a second server is refused, changes are in effect at once."""
    variables = {"AITBC_DATABASE_URL": fresh_postgres}
    for command in (("list-plans",), ("create-tenant", "--id", "acme", "--plan", "free")):
        refused = admin(tmp_path / "data", *command, variables=variables)
        assert refused.returncode == 1
        assert refused.stderr == "error: the database has no schema yet\nhint: aitbc admin migrate\n"
    # A person may stand anywhere: what works on PostgreSQL alone makes no folder there.
    assert admin(tmp_path / "here", "migrate", variables=variables).returncode == 0
    assert not (tmp_path / "here").exists()
    with running("serve", data_dir=tmp_path / "data", variables=variables) as server:
        # From another folder, as from another machine, with the same secret key.
        beside = variables | {"AITBC_SECRET_KEY_FILE": str(tmp_path / "data" / "secret.key")}
        elsewhere = ServerProcess(tmp_path / "elsewhere", server.process, server.log, beside, server.url)
        elsewhere.create_tenant("acme", "free")
        key = elsewhere.create_key("acme", "client")
        assert answer(server, key) == (200, "free")
        elsewhere.admin("suspend-tenant", "acme")
        assert answer(server, key) == (403, "tenant_suspended")
        second = admin(tmp_path / "elsewhere", "doctor", variables=beside)
        assert (second.returncode, "one is running, elsewhere" in second.stdout) == (0, True)
        rival = start("serve", data_dir=tmp_path / "elsewhere", variables=beside)
        assert rival.process.wait(START_S) == 1
        assert rival.text().splitlines()[0] == "error: another server is running on this PostgreSQL database"
        of_a_fleet = beside | {"AITBC_VALKEY_URL": "valkey://127.0.0.1:1"}
        node = start("serve", data_dir=tmp_path / "node", variables=of_a_fleet)
        assert node.process.wait(20) == 1
        assert "a server without AITBC_VALKEY_URL is running on this PostgreSQL database" in node.text()


def _execute(data: Path, statement: str) -> None:
    with sqlite3.connect(data / "aitbc.db") as database:
        database.execute(statement)
    database.close()
