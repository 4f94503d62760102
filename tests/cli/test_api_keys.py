"""``aitbc api-keys``: what is sent, what is printed where, and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cli.conftest import KEY, Cli
from tests.sdk.samples import API_KEY, EVENT, USAGE, problem
from tests.sdk.scripted import Answer, ScriptedServer

NEW_KEY = "aitbc_test_0123456789ab_" + "N" * 49
MANAGER = {**API_KEY, "id": "key_manager00000", "scopes": ["api_keys:read", "api_keys:write"], "preset": None}
SELF = {
    "key": API_KEY,
    "tenant": {"id": "test-tenant", "name": "Test", "plan": "pro"},
    "limits": [{"name": "pro", "limit": 600, "window_s": 60, "remaining": 598, "reset_s": 42}],
}


def page(*items: dict[str, Any]) -> Answer:
    """The only page of a list."""
    return Answer({"items": list(items), "next_cursor": None})


def test_list_prints_a_table(cli: Cli, server: ScriptedServer) -> None:
    """A line for each key, with the age of its secret."""
    server.answers(page(API_KEY, {**MANAGER, "name": "boss"}))
    ran = cli("api-keys", "list", "--status", "active", "--environment", "test", "-q", "c")
    assert ran.code == 0
    assert server.last.query == {"status": "active", "environment": "test", "q": "c"}
    header, first, second = ran.out.splitlines()
    assert header.split() == ["ID", "NAME", "PRESET", "STATUS", "SECRET", "AGE", "USED", "EXPIRES"]
    assert first.split() == ["key_0123456789ab", "ci", "client", "active", "2h", "never", "never"]
    assert second.split()[1:4] == ["boss", "2", "scopes"]
    assert not ran.err


def test_list_prints_the_apis_objects_as_an_array(cli: Cli, server: ScriptedServer) -> None:
    """Times with milliseconds and Z, nothing added, nothing left out."""
    server.answers(page(API_KEY, MANAGER))
    assert cli("api-keys", "list", "--output", "json").json == [API_KEY, MANAGER]


def test_list_marks_secrets_older_than_90_days(cli: Cli, server: ScriptedServer) -> None:
    """In the table, and with what to do about it; a revoked key's age does not matter."""
    old = {**MANAGER, "id": "key_old000000000", "secret_created_at": "2026-08-01T00:00:00.000Z"}
    server.answers(page(old, API_KEY, {**old, "id": "key_gone", "status": "revoked"}))
    ran = cli("api-keys", "list")
    assert "115d OLD" in ran.out.splitlines()[1]
    assert ran.out.count("OLD") == 1
    assert "hint: a secret is older than 90 days; `aitbc api-keys regenerate key_old000000000 --grace" in ran.err


def test_list_says_when_the_key_sees_only_itself(cli: Cli, server: ScriptedServer) -> None:
    """On standard error, in both forms of output, without another request: the list itself tells."""
    for form in ("table", "json"):
        server.answers(page(API_KEY))
        assert "This key sees only itself" in cli("api-keys", "list", "--output", form).err
    assert len(server.requests) == 2


def test_list_asks_who_it_is_where_the_list_does_not_tell(cli: Cli, server: ScriptedServer) -> None:
    """A foreign key does not show its id, and an empty list shows nothing."""
    server.answers(page(API_KEY), Answer(SELF), page(), Answer({**SELF, "key": MANAGER}))
    assert "sees only itself" in cli("api-keys", "list", "--api-key", "a-foreign-key-of-mine").err
    assert cli("api-keys", "list").err == "no keys\n"


def test_list_of_one_other_key_does_not_mislead(cli: Cli, server: ScriptedServer) -> None:
    """A manager who filters for one client key sees more than itself."""
    server.answers(page({**API_KEY, "id": "key_other0000000"}))
    assert not cli("api-keys", "list").err


def test_create_prints_the_key_alone_on_standard_output(cli: Cli, server: ScriptedServer) -> None:
    """So that KEY=$(aitbc api-keys create ci) works; words are on standard error."""
    server.answers(Answer({**API_KEY, "key": NEW_KEY}, 201))
    ran = cli("api-keys", "create", "ci")
    assert (ran.code, ran.out) == (0, NEW_KEY + "\n")
    assert "only time that the key is shown" in ran.err
    assert server.last.json["name"] == "ci"


def test_create_sends_every_option(cli: Cli, server: ScriptedServer) -> None:
    """Durations count from now; lists and JSON arrive as such."""
    server.answers(Answer({**API_KEY, "key": NEW_KEY}, 201))
    args = "--environment test --scope jobs:read --scope jobs:write --expires 90d --allowed-ip 10.0.0.0/8"
    more = ["--limit-per-minute", "5", "--metadata", '{"team": "a"}', "--idempotency-key", "i-1", "--output", "json"]
    assert cli("api-keys", "create", "--name", "ci", *args.split(), *more).json["key"] == NEW_KEY
    assert server.last.headers["idempotency-key"] == "i-1"
    assert server.last.json == {
        "name": "ci",
        "environment": "test",
        "preset": None,
        "scopes": ["jobs:read", "jobs:write"],
        "expires_at": "2027-02-22T08:00:00.000Z",
        "allowed_ips": ["10.0.0.0/8"],
        "limit_per_minute": 5,
        "metadata": {"team": "a"},
    }


def test_a_replayed_create_says_that_the_key_was_shown_before(cli: Cli, server: ScriptedServer) -> None:
    """A script that takes standard output for the key must not go on with nothing."""
    server.answers(Answer(API_KEY, 201))
    ran = cli("api-keys", "create", "ci", "--idempotency-key", "i-1")
    assert (ran.code, ran.out) == (1, "")
    assert "hint: `aitbc api-keys regenerate key_0123456789ab`" in ran.err


@pytest.mark.parametrize(
    "args",
    [
        ("create",),
        ("create", "a", "--name", "b"),
        ("create", "a", "--preset", "client", "--scope", "jobs:read"),
        ("create", "a", "--scope", "jobs:reed"),
        ("create", "a", "--expires", "soon"),
        ("create", "a", "--expires", "2030-01-01T00:00:00"),
        ("create", "a", "--expires", "999999999w"),
        ("create", "a", "--metadata", "[1]"),
        ("create", "a", "--metadata", '{"a": NaN}'),
        ("create", "a", "--limit-per-minute", "0"),
        ("update", "key_1"),
        ("update", "key_1", "--expires", "1d", "--clear-expiry"),
        ("update", "key_1", "--limit-per-minute", "1", "--clear-limit"),
        ("update", "key_1", "--allowed-ip", "::1", "--clear-allowed-ips"),
        ("regenerate", "key_1", "--grace", "1 day"),
        ("usage", "key_1", "--last", "1d", "--from", "2d"),
        ("get",),
        ("list", "--colour"),
        ("list", "key_1"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(args: tuple[str, ...], cli: Cli, server: ScriptedServer) -> None:
    """Exit 2, one error line, a hint, and nothing is sent."""
    ran = cli("api-keys", *args)
    assert (ran.code, ran.out) == (2, "")
    error, hint = ran.err.splitlines()
    assert error.startswith("error: ")
    assert hint == f"hint: `aitbc api-keys {args[0]} --help` shows how it is used"
    assert not server.requests


def test_get_shows_everything(cli: Cli, server: ScriptedServer) -> None:
    """Also the older secret, where one lives."""
    previous = {"expires_at": "2026-11-25T07:59:58.000Z", "last_used_at": "2026-11-24T07:55:00.000Z"}
    key = {
        **API_KEY,
        "previous_secret": previous,
        "metadata": {"team": "a", "n": [1]},
        "last_used_at": "2026-11-24T07:58:00.000Z",
        "last_used_ip": "203.0.113.9",
        "limit_per_minute": 30,
        "expires_at": "2026-12-24T08:00:00.000Z",
    }
    unused = {**key, "previous_secret": {**previous, "last_used_at": None}}
    server.answers(Answer(unused), Answer(key), Answer(key))
    assert "               never used" in cli("api-keys", "get", "key_0123456789ab").out.splitlines()
    out = cli("api-keys", "get", "key_0123456789ab").out
    for line in (
        "Scopes         jobs:read jobs:write usage:read",
        "Expires        2026-12-24 08:00:00Z (in 30d)",
        "Last used      2026-11-24 07:58:00Z (2m ago) from 203.0.113.9",
        "Older secret   works until 2026-11-25 07:59:58Z (in 1d)",
        "               last used 2026-11-24 07:55:00Z (5m ago)",
        "metadata.n     [1]",
    ):
        assert line in out.splitlines()
    assert cli("api-keys", "get", "key_0123456789ab", "--output", "json").json == key


@pytest.mark.parametrize("typed", [KEY, "aitbc_test_0123456789ab_…", "key_0123456789ab", "aitbc_test_0123456789ab"])
def test_a_key_stands_for_its_id_and_never_travels_in_an_address(typed: str, cli: Cli, server: ScriptedServer) -> None:
    """Addresses end up in logs: a whole key that is pasted as KEY_ID is turned into its id here."""
    server.answers(Answer(API_KEY))
    cli("api-keys", "revoke", typed)
    assert server.last.path == "/v1/api-keys/key_0123456789ab/revoke"


def test_update_sends_what_is_named_and_nothing_else(cli: Cli, server: ScriptedServer) -> None:
    """What is cleared is null or empty; what is not named is absent."""
    sent = []
    for args in (
        ["--disable"],
        ["--enable", "--name", "n", "--scope", "jobs:read", "--metadata", "{}"],
        ["--expires", "2030-01-31T12:00:00+01:00", "--limit-per-minute", "7", "--allowed-ip", "::1"],
        ["--clear-expiry", "--clear-limit", "--clear-allowed-ips"],
    ):
        server.answers(Answer(API_KEY))
        assert cli("api-keys", "update", "key_0123456789ab", *args).code == 0
        sent.append(server.last.json)
    assert sent == [
        {"enabled": False},
        {"enabled": True, "name": "n", "scopes": ["jobs:read"], "metadata": {}},
        {"expires_at": "2030-01-31T11:00:00.000Z", "limit_per_minute": 7, "allowed_ips": ["::1"]},
        {"expires_at": None, "limit_per_minute": None, "allowed_ips": []},
    ]


def test_revoke_does_not_ask_where_nobody_can_answer(cli: Cli, server: ScriptedServer) -> None:
    """In a script it revokes; what is said goes to standard error."""
    server.answers(Answer({**API_KEY, "status": "revoked"}))
    ran = cli("api-keys", "revoke", "key_0123456789ab")
    assert (ran.code, ran.out, ran.err) == (0, "", "Revoked key_0123456789ab (ci).\n")


def test_regenerate_says_that_the_old_secret_stopped_and_hints_at_grace(cli: Cli, server: ScriptedServer) -> None:
    """And, since it is the key in use, where the new one has to go. The key alone is standard output."""
    server.answers(Answer({**API_KEY, "key": NEW_KEY}))
    ran = cli("api-keys", "regenerate", "key_0123456789ab")
    assert server.last.json == {"grace_period_seconds": 0}
    assert ran.out == NEW_KEY + "\n"
    assert "The old secret has stopped working." in ran.err
    assert "hint: `--grace 24h`" in ran.err
    assert "It is the key in use: put the new one into the environment variable AITBC_API_KEY." in ran.err


def test_regenerate_with_grace_says_until_when(cli: Cli, server: ScriptedServer) -> None:
    """And where to see that it is used no more; another key than the one in use is not taken for it."""
    previous = {"expires_at": "2026-11-25T08:00:00.000Z", "last_used_at": None}
    server.answers(Answer({**API_KEY, "id": "key_other0000000", "key": NEW_KEY, "previous_secret": previous}))
    ran = cli("api-keys", "regenerate", "key_other0000000", "--grace", "24h")
    assert server.last.json == {"grace_period_seconds": 86400}
    assert "The old secret works until 2026-11-25 08:00:00Z (in 1d)." in ran.err
    assert "hint: `aitbc api-keys get key_other0000000` shows when the old secret was last used" in ran.err
    assert "--grace" not in ran.err
    assert "key in use" not in ran.err


def test_an_unconfirmed_change_is_told(cli: Cli, server: ScriptedServer) -> None:
    """A 202: committed, but not yet known to every node."""
    server.answers(Answer({**API_KEY, "key": NEW_KEY, "confirmed": False}, 202))
    assert "not yet confirmed" in cli("api-keys", "regenerate", "key_0123456789ab").err


def test_usage_of_a_key_and_of_the_tenant(cli: Cli, server: ScriptedServer) -> None:
    """The same table; --last counts back from now."""
    server.answers(Answer(USAGE), Answer(USAGE))
    ran = cli("api-keys", "usage", "key_1", "--last", "24h", "--group-by", "outcome", "--granularity", "hour")
    assert server.last.query == {
        "from": "2026-11-23T08:00:00.000Z",
        "granularity": "hour",
        "group_by": "outcome",
    }
    assert ran.out.splitlines()[0].split() == ["HOUR", "GROUP", "COUNT"]
    assert ran.out.splitlines()[1].split() == ["2026-11-24", "06:00:00Z", "allowed", "3"]
    assert ran.err == "3 in all, 3 allowed, 0 refused (allowed 3)\n"
    assert cli("usage", "--from", "2d", "--to", "2026-11-24T00:00:00Z", "--output", "json").json == USAGE
    assert server.last.path == "/v1/usage"
    assert server.last.query == {"from": "2026-11-22T08:00:00.000Z", "to": "2026-11-24T00:00:00.000Z"}


def test_usage_without_requests_says_so(cli: Cli, server: ScriptedServer) -> None:
    """Not an empty table."""
    server.answers(Answer({**USAGE, "series": []}))
    ran = cli("usage")
    assert (ran.out, ran.err[:11]) == ("", "no requests")


def test_whoami_tells_the_key_and_where_it_came_from(cli: Cli, server: ScriptedServer) -> None:
    """The option wins over the environment, and whoami says which it was."""
    server.answers(Answer(SELF), Answer(SELF), Answer(SELF))
    out = cli("whoami").out
    assert "Key from     the environment variable AITBC_API_KEY" in out
    assert "Tenant       test-tenant (Test), plan pro" in out
    assert "Limit pro    598 of 600 left in these 60 s" in out
    assert "Key from     the option --api-key" in cli("whoami", "--api-key", "a-foreign-key-of-mine").out
    assert server.last.headers["x-api-key"] == "a-foreign-key-of-mine"
    assert cli("--output", "json", "whoami").json == SELF


def test_text_of_others_cannot_steer_the_terminal(cli: Cli, server: ScriptedServer) -> None:
    """Escape sequences in a name or an error are shown, not obeyed; JSON keeps them, escaped (ASVS 1.2.1)."""
    name = "a\x1b[2Jb\x9b\u202ec"
    server.answers(page({**API_KEY, "name": name}, MANAGER), page({**API_KEY, "name": name}, MANAGER))
    assert "a\\x1b[2Jb\\x9b\\u202ec" in cli("api-keys", "list").out
    ran = cli("api-keys", "list", "--output", "json")
    assert ran.json[0]["name"] == name
    assert not {"\x1b", "\x9b", "\u202e"} & set(ran.out)
    server.answers(Answer(problem(409, "conflict", detail="\x1b[31mred"), 409))
    assert "\\x1b[31mred" in cli("api-keys", "revoke", "key_1").err


def test_audit_lists_changes(cli: Cli, server: ScriptedServer) -> None:
    """Who did what to what, from where; a whole key as --key-id is its id here too."""
    event = {**EVENT, "actor": {"type": "operator", "id": None, "name": None}, "client_ip": None}
    server.answers(page(EVENT, event), page(EVENT), page())
    args = ["--action", "api_key.revoke", "--actor", "usr_1", "--key-id", KEY, "--from", "7d", "--limit", "2"]
    ran = cli("audit", "list", *args)
    assert server.last.query == {
        "action": "api_key.revoke",
        "actor": "usr_1",
        "key_id": "key_0123456789ab",
        "from": "2026-11-17T08:00:00.000Z",
        "limit": "2",
    }
    first, second = (line.split() for line in ran.out.splitlines()[1:])
    assert first == ["2026-11-24", "06:00:00Z", "ci", "api_key.revoke", "key_0123456789ab", "127.0.0.1"]
    assert (second[2], second[-1]) == ("operator", "-")
    assert ran.err == "the newest 2 are shown; --limit shows more\n"
    assert cli("audit", "list", "--output", "json").json == [EVENT]
    assert cli("audit", "list").err == "no changes\n"
