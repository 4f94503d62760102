"""How the key of a login ends, and what replaces it: `aitbc logout`, another login, another secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.cli.signing_in import ANOTHER, BEGUN, KEY, REVOKED, TOKEN, sign_in
from tests.sdk.samples import API_KEY, problem
from tests.sdk.scripted import Answer, Drop, ScriptedServer

from aitbc import keyformat


def test_another_login_ends_the_key_before(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """Nobody has it any more: it is revoked, by itself, when the new one is kept."""
    sign_in(cli, server)
    newer = {**TOKEN, "access_token": ANOTHER, "api_key": {**TOKEN["api_key"], "id": "key_ba9876543210"}}  # type: ignore[dict-item]
    server.answers(Answer(BEGUN), Answer(newer), REVOKED)
    ran = cli("login")
    assert "The key that this profile had before, key_0123456789ab, is revoked." in ran.err
    assert server.last.path == "/v1/api-keys/key_0123456789ab/revoke"
    assert {name.lower(): value for name, value in server.last.headers.items()}["x-api-key"] == KEY
    assert ANOTHER in (home / "credentials.toml").read_text()


def test_logout_revokes_and_forgets(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """The server and the tenant stay, for the next time; twice is no error."""
    sign_in(cli, server)
    server.answers(REVOKED)
    ran = cli("logout")
    assert (ran.code, ran.out) == (0, "")
    assert "is revoked and forgotten" in ran.err
    assert server.last.path == "/v1/api-keys/key_0123456789ab/revoke"
    assert KEY not in (home / "credentials.toml").read_text()
    assert f'base_url = "{server.url}"' in (home / "config.toml").read_text()
    assert cli("whoami").code == 3
    ran = cli("logout")
    assert (ran.code, ran.err) == (0, "Not signed in under the profile default: there is nothing to do.\n")


def test_logout_forgets_though_the_server_is_away(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """It says that the key still works, and where to revoke it."""
    sign_in(cli, server)
    server.answers(Drop())
    ran = cli("logout")
    assert ran.code == 1
    assert "is forgotten here, but could not be revoked and still works" in ran.err
    assert f"hint: revoke it on the dashboard, {server.url}/api-keys/key_0123456789ab" in ran.err
    assert KEY not in (home / "credentials.toml").read_text()


@pytest.mark.parametrize("code", ["revoked_api_key", "expired_api_key", "invalid_api_key"])
def test_logout_of_a_key_that_ended_is_fine(code: str, cli: Cli, server: ScriptedServer, home: Path) -> None:
    """There is nothing left to revoke."""
    sign_in(cli, server)
    server.answers(Answer(problem(401, code), 401))
    assert cli("logout").code == 0
    assert KEY not in (home / "credentials.toml").read_text()


def test_a_key_that_ended_says_how_to_get_another(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """`aitbc login` again, for the profile in use."""
    sign_in(cli, server, "--profile", "work")
    server.answers(Answer(problem(401, "expired_api_key"), 401))
    ran = cli("whoami", "--profile", "work")
    assert ran.code == 3
    assert "hint: `aitbc login --profile work` signs you in again" in ran.err


def test_regenerating_the_key_in_use_keeps_the_new_one(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """Otherwise the next command would fail."""
    sign_in(cli, server)
    newer = keyformat.build("test", "0123456789ab", "N" * 43)
    server.answers(Answer({**API_KEY, "key": newer}))
    ran = cli("api-keys", "regenerate", "key_0123456789ab")
    assert ran.code == 0, ran.err
    assert newer in (home / "credentials.toml").read_text()
    assert "has the new one" in ran.err


def test_a_key_that_cannot_be_kept_is_revoked(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """Nobody would know of it."""
    (home / "credentials.toml").mkdir(parents=True)
    server.answers(Answer(BEGUN), Answer(TOKEN), REVOKED)
    ran = cli("login")
    assert ran.code == 1
    assert f"{home}/credentials.toml cannot be read" in ran.err
    assert server.last.path == "/v1/api-keys/key_0123456789ab/revoke"
    assert not (home / "config.toml").exists()
