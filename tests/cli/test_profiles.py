"""Profiles: where the key of a login is kept, and when it is used."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.cli.signing_in import ANOTHER, KEY, REVOKED, SELF, sign_in
from tests.sdk.scripted import Answer, ScriptedServer

from aitbc.cli import profiles


def test_the_key_is_used_from_then_on(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """`whoami` says where it came from, and the tenant is asserted."""
    sign_in(cli, server)
    server.answers(Answer(SELF))
    ran = cli("whoami")
    assert ran.code == 0, ran.err
    assert f"the profile default (in {home}/credentials.toml)" in ran.out
    headers = {name.lower(): value for name, value in server.last.headers.items()}
    assert (headers["x-api-key"], headers["x-tenant-id"]) == (KEY, "acme")


def test_a_keyring_is_preferred(
    cli: Cli, server: ScriptedServer, home: Path, keyring: dict[tuple[str, str], str]
) -> None:
    """Then no file holds the key; `logout` empties it."""
    ran = sign_in(cli, server)
    assert "in the system's keyring" in ran.err
    assert keyring == {("aitbc", f"default {server.url}"): KEY}
    assert not (home / "credentials.toml").exists()
    server.answers(Answer(SELF), REVOKED)
    assert "the profile default (in the system's keyring)" in cli("whoami").out
    assert cli("logout").code == 0
    assert keyring == {}


def test_a_keyring_that_does_not_keep_is_not_relied_on(
    cli: Cli, server: ScriptedServer, home: Path, keyring: dict[tuple[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some backends take everything and keep nothing, or are locked: the file is there for them."""
    import keyring as library

    def refuse(*_: object) -> None:
        raise library.errors.KeyringLocked("locked")

    monkeypatch.setattr(type(library.get_keyring()), "set_password", refuse)
    sign_in(cli, server)
    assert KEY in (home / "credentials.toml").read_text()


def test_a_key_is_sent_to_its_own_server_only(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """Whoever points the command line elsewhere must not send it there: it says for which server there is a key."""
    sign_in(cli, server)
    ran = cli("whoami", "--base-url", "http://127.0.0.1:9")
    assert ran.code == 3
    assert f"there is no API key for http://127.0.0.1:9: the profile default has one for {server.url}" in ran.err
    assert "hint: `aitbc login`" in ran.err
    assert len(server.requests) == 2


def test_options_go_before_variables_before_profiles(
    cli: Cli, server: ScriptedServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a profile that is named by an option goes before variables too."""
    sign_in(cli, server, "--profile", "work")
    monkeypatch.setenv("AITBC_API_KEY", ANOTHER)
    expected = {
        (): ("the environment variable AITBC_API_KEY", ANOTHER),
        ("--profile", "work"): (f"the profile work (in {home}/credentials.toml)", KEY),
        ("--api-key", "x" * 20): ("the option --api-key", "x" * 20),
        ("--api-key", "x" * 20, "--profile", "work"): ("the option --api-key", "x" * 20),
    }
    for args, (source, key) in expected.items():
        server.answers(Answer(SELF))
        assert source in cli("whoami", *args).out
        assert {name.lower(): value for name, value in server.last.headers.items()}["x-api-key"] == key
    monkeypatch.setenv("AITBC_PROFILE", "work")
    server.answers(Answer(SELF))
    assert "the environment variable AITBC_API_KEY" in cli("whoami").out
    monkeypatch.delenv("AITBC_API_KEY")
    server.answers(Answer(SELF))
    assert "the profile work" in cli("whoami").out


def test_a_profile_brings_its_server_and_tenant(
    cli: Cli, server: ScriptedServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that was written by hand, without a key."""
    monkeypatch.delenv("AITBC_BASE_URL")
    home.mkdir()
    (home / "config.toml").write_text(f'[profiles.hand]\nbase_url = "{server.url}"\ntenant = "beta"\n')
    server.answers(Answer(SELF))
    ran = cli("whoami", "--profile", "hand", "--api-key", ANOTHER)
    assert ran.code == 0, ran.err
    assert server.url in ran.out
    assert {name.lower(): value for name, value in server.last.headers.items()}["x-tenant-id"] == "beta"


def test_the_tenant_of_a_login_is_not_asserted_for_another_key(
    cli: Cli, server: ScriptedServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key of the environment has a tenant of its own."""
    sign_in(cli, server)
    monkeypatch.setenv("AITBC_API_KEY", ANOTHER)
    server.answers(Answer(SELF))
    cli("whoami")
    assert "x-tenant-id" not in {name.lower() for name in server.last.headers}


def test_a_profile_that_is_not_there_is_named(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """With those that are, and how to make it."""
    sign_in(cli, server, "--profile", "work")
    ran = cli("whoami", "--profile", "wrok")
    assert ran.code == 1
    assert ran.err == (
        f"error: there is no profile wrok in {home}/config.toml; there are work\n"
        "hint: `aitbc login --profile wrok` makes it\n"
    )
    assert "is no name for a profile" in cli("whoami", "--profile", "../x").err


def test_the_rest_of_the_file_stays_as_it_was(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """Comments and other profiles are people's own."""
    home.mkdir()
    mine = '# mine\n[profiles.other]\nbase_url = "https://other.example.com"  # there\n\n[profiles.default]\n'
    (home / "config.toml").write_text(mine + f'base_url = "{server.url}"\n\n[profiles.last]\ntenant = "t"\n')
    sign_in(cli, server)
    text = (home / "config.toml").read_text()
    assert '# mine\n[profiles.other]\nbase_url = "https://other.example.com"  # there\n' in text
    assert '[profiles.last]\ntenant = "t"\n' in text
    assert text.count("[profiles.default]") == 1
    assert 'key_store = "file"' in text


@pytest.mark.parametrize("text", ["[profiles.default\n", "profiles = 3\n[profiles", "\xff"])
def test_a_file_that_cannot_be_read_is_left_alone(cli: Cli, home: Path, text: str) -> None:
    """It says which file and where, and writes nothing over it."""
    home.mkdir()
    (home / "config.toml").write_text(text, encoding="latin-1")
    ran = cli("whoami")
    assert ran.code == 1
    assert str(home / "config.toml") in ran.err
    assert cli("login").code == 1
    assert (home / "config.toml").read_text(encoding="latin-1") == text


def test_a_file_of_keys_that_others_can_read_is_not_used(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """As SSH does: it says what to type."""
    sign_in(cli, server)
    (home / "credentials.toml").chmod(0o644)
    ran = cli("whoami")
    assert ran.code == 1
    assert f"hint: chmod 600 {home}/credentials.toml" in ran.err


def test_a_hint_where_a_variable_goes_first(
    cli: Cli, server: ScriptedServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the new key would seem not to work."""
    monkeypatch.setenv("AITBC_API_KEY", ANOTHER)
    assert "hint: AITBC_API_KEY is set and goes first" in sign_in(cli, server).err


def test_files_are_where_the_system_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_CONFIG_HOME where it is absolute, else ~/.config; %APPDATA% on Windows."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert profiles.config_folder() == tmp_path / ".config" / "aitbc"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert profiles.config_folder() == tmp_path / ".config" / "aitbc"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("APPDATA", str(tmp_path / "Roaming"))
    assert profiles.config_folder() == tmp_path / "Roaming" / "aitbc"
    assert os.environ["HOME"] == str(tmp_path)
