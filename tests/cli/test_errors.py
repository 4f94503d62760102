"""Every error: its exit code, its line, and the hint where there is a remedy."""

from __future__ import annotations

import socket

import pytest
from tests.cli.conftest import Cli, process
from tests.sdk.samples import API_KEY, problem
from tests.sdk.scripted import Answer, Drop, ScriptedServer

from aitbc import keyformat


@pytest.mark.parametrize(
    ("status", "code", "exit_code", "hint"),
    [
        (401, "missing_api_key", 3, "export AITBC_API_KEY=..."),
        (401, "invalid_api_key", 3, "the key comes from the environment variable AITBC_API_KEY"),
        (401, "revoked_api_key", 3, "generate a new one"),
        (401, "expired_api_key", 3, "--expires 90d"),
        (401, "disabled_api_key", 3, "--enable"),
        (403, "insufficient_scope", 3, "aitbc whoami"),
        (403, "tenant_suspended", 3, "operator"),
        (403, "ip_not_allowed", 3, "allowed addresses"),
        (404, "not_found", 5, "its own environment"),
        (400, "ambiguous_credentials", 1, "one API key only"),
        (425, "not_ready", 1, "aitbc jobs wait"),
        (409, "conflict", 1, None),
        (500, "internal_error", 1, None),
        (418, "teapot", 1, None),
    ],
)
def test_each_code_of_the_api(
    status: int, code: str, exit_code: int, hint: str | None, cli: Cli, server: ScriptedServer
) -> None:
    """The server's own sentence, a remedy where there is one, and the exit code that scripts rely on."""
    server.answers(Answer(problem(status, code), status))
    ran = cli("whoami")
    assert (ran.code, ran.out) == (exit_code, "")
    lines = ran.err.splitlines()
    assert lines[0].startswith(f"error: a sentence about {code}")
    assert lines[1:] == [] if hint is None else lines[1].startswith("hint: ")
    assert hint is None or hint in lines[1]
    assert ("request id req_1" in lines[0]) == (status == 500)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("api-keys", "get", "key_nope"), "error: no key key_nope"),
        (("api-keys", "update", "key_nope", "--name", "x"), "error: no key key_nope"),
        (("api-keys", "usage", "aitbc_live_0123456789ab_…wxyz"), "error: no key key_0123456789ab"),
        (("jobs", "get", "job_\x1b[31m"), "error: no job job_\\x1b[31m"),
        (("whoami",), "error: There is no such object."),
    ],
)
def test_what_is_not_there_is_named(args: tuple[str, ...], line: str, cli: Cli, server: ScriptedServer) -> None:
    """By the id that the command was given, with no further question to the server."""
    server.answers(Answer({**problem(404, "not_found"), "detail": "There is no such object."}, 404))
    ran = cli(*args)
    assert (ran.code, ran.err.splitlines()[0]) == (5, line)
    assert len(server.requests) == 1


def test_a_path_that_the_server_does_not_have_is_no_missing_key(cli: Cli, server: ScriptedServer) -> None:
    """A wrong address of the server is not taken for a wrong id."""
    server.answers(Answer({**problem(404, "not_found"), "detail": "There is no such path."}, 404))
    assert cli("api-keys", "get", "key_1").err.startswith("error: There is no such path.")


def test_a_rate_limit_says_when_and_does_not_wait(cli: Cli, server: ScriptedServer) -> None:
    """Exit 4 at once, with the seconds; guesses are told apart."""
    server.answers(Answer(problem(429, "rate_limit_exceeded"), 429, {"Retry-After": "17"}))
    ran = cli("whoami")
    assert ran.code == 4
    assert "hint: try again in 17 s; " in ran.err
    server.answers(Answer(problem(429, "too_many_failures"), 429))
    assert "hint: the key comes from the environment variable AITBC_API_KEY; is it one of" in cli("whoami").err


def test_invalid_fields_are_named(cli: Cli, server: ScriptedServer) -> None:
    """A line for each field of a 422."""
    errors = [{"field": "name", "message": "is too long"}]
    server.answers(Answer(problem(422, "validation_error", detail="name: is too long", errors=errors), 422))
    assert cli("api-keys", "create", "x").err == "error: name: is too long\n"
    errors.append({"field": "metadata", "message": "is too large"})
    server.answers(Answer(problem(422, "validation_error", errors=errors), 422))
    ran = cli("api-keys", "create", "x")
    assert ran.code == 1
    assert ran.err.splitlines()[1:] == ["  name: is too long", "  metadata: is too large"]


def test_a_wrong_tenant_says_where_it_was_set(
    cli: Cli, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option, or the variable that was forgotten."""
    server.answers(*[Answer(problem(403, "tenant_mismatch"), 403)] * 2)
    assert "leave out --tenant" in cli("whoami", "--tenant", "other").err
    monkeypatch.setenv("AITBC_TENANT_ID", "other")
    assert "unset AITBC_TENANT_ID" in cli("whoami").err
    assert server.last.headers["x-tenant-id"] == "other"


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("aitbc_test_0123456789ab_short", "it should have 73 characters and has 29"),
        (keyformat.build("test", "0123456789ab", "S" * 43)[:-1] + "0", "its checksum is wrong"),
    ],
)
def test_a_mistyped_key_is_told_offline(key: str, told: str, cli: Cli, server: ScriptedServer) -> None:
    """The checksum tells a typo from a key that the server does not know; the key itself is not printed."""
    server.answers(Answer(problem(401, "invalid_api_key"), 401))
    ran = cli("whoami", "--api-key", key)
    assert told in ran.err
    assert key not in ran.err


def test_no_key_at_all(cli: Cli, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 3 and the line to type; an empty option is no key either, and does not fall back to another one."""
    assert "error: the option --api-key is empty" in cli("whoami", "--api-key", "").err
    monkeypatch.delenv("AITBC_API_KEY")
    ran = cli("whoami")
    assert ran.code == 3
    assert ran.err.startswith("error: there is no API key\nhint: `aitbc login` signs you in; or export AITBC_API_KEY=")
    assert not server.requests


def test_no_server(cli: Cli, server: ScriptedServer) -> None:
    """Exit 1, the address that was tried, and how to name another one."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    ran = cli("whoami", "--base-url", url)
    assert ran.code == 1
    assert ran.err.startswith(f"error: no answer from {url} (")
    assert "AITBC_BASE_URL" in ran.err.splitlines()[1]
    server.answers(Drop())
    assert f"no answer from {server.url}" in cli("whoami").err


def test_a_base_url_that_is_none(cli: Cli, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A usage error like any other: exit 2, where it is from, what was expected; no request."""
    for args, source, variable in ((("--base-url", "foo"), "--base-url", ""), ((), "AITBC_BASE_URL", "localhost:8000")):
        if variable:
            monkeypatch.setenv("AITBC_BASE_URL", variable)
        ran = cli("whoami", *args)
        assert ran.code == 2
        assert ran.err.startswith(f"error: {source} must be an address such as http://")
        assert ran.err.endswith("hint: `aitbc whoami --help` shows how it is used\n")
    assert not server.requests


def test_a_name_that_is_nearly_right_is_suggested(cli: Cli) -> None:
    """For commands of both levels; exit 2."""
    assert cli("apikeys").err.endswith("hint: did you mean `aitbc api-keys`?\n")
    assert cli("api-keys", "lst").err.endswith("hint: did you mean `aitbc api-keys list`?\n")
    ran = cli("api-keys", "frobnicate")
    assert (ran.code, ran.err.splitlines()[1]) == (2, "hint: `aitbc api-keys --help` lists the commands")
    assert cli("frobnicate").err.endswith("hint: `aitbc --help` lists the commands\n")


def test_a_group_alone_shows_its_help(cli: Cli) -> None:
    """On standard error, exit 2: nothing was done."""
    ran = cli("api-keys")
    assert (ran.code, ran.out) == (2, "")
    assert "regenerate" in ran.err
    assert cli().code == 0


def test_server_commands_say_how_to_install_the_server(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, wherever the import fails: while loading the command or while it runs."""
    import click

    from aitbc.cli import app

    def missing() -> None:
        raise ModuleNotFoundError("No module named 'litestar'", name="litestar.app")

    monkeypatch.setitem(app.cli.commands, "serve", click.Command("serve", callback=missing))
    ran = cli("serve")
    assert (ran.code, ran.err.splitlines()[1]) == (1, "hint: pip install 'aitbc[server]'")


def test_a_bug_is_not_hidden(cli: Cli, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What we do not know how to explain is a traceback, not a guess."""
    import click

    from aitbc.cli import app

    def buggy() -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(app.cli.commands, "whoami", click.Command("whoami", callback=buggy))
    with pytest.raises(ZeroDivisionError):
        cli("whoami")


def test_global_options_stand_before_or_after(cli: Cli, server: ScriptedServer) -> None:
    """At every level; the later one wins, and one that is absent undoes nothing."""
    listed = Answer({"items": [API_KEY], "next_cursor": None})
    for args in (
        ("--output", "json", "api-keys", "list"),
        ("api-keys", "--output", "json", "list"),
        ("api-keys", "list", "--output", "json"),
        ("--output", "table", "api-keys", "list", "--output", "json"),
    ):
        server.answers(listed)
        assert cli(*args).json == [API_KEY]
    server.answers(listed)
    cli("--api-key", "first-key-is-here", "api-keys", "--tenant", "t-1", "list", "--api-key", "")
    assert len(server.requests) == 4


def test_exit_codes_of_the_real_process(server: ScriptedServer) -> None:
    """The installed program ends with what main returns."""
    server.answers(Answer(problem(404, "not_found"), 404))
    key = {"AITBC_API_KEY": "a-foreign-key-of-mine", "AITBC_BASE_URL": server.url}
    assert process("jobs", "get", "job_1", env=key).returncode == 5
    assert process("whoami", env={"AITBC_BASE_URL": server.url}).returncode == 3
    assert process("whoami", "--frobnicate").returncode == 2
