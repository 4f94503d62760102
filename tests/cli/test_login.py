"""`aitbc login` against a scripted server, and how it can end; the real one is in tests/e2e/test_login.py."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import msgspec
import pytest
from tests.cli.conftest import Cli, environment
from tests.cli.signing_in import BEGUN, KEY, TOKEN, oauth, sent, sign_in
from tests.sdk.samples import API_KEY, problem
from tests.sdk.scripted import Answer, Drop, Hang, ScriptedServer

from aitbc.cli import login as login_module
from aitbc.cli import login_flow
from aitbc.cli.errors import CommandError
from aitbc.schemas.device import DeviceAuthorization
from aitbc_server.names import check_name


def test_login_keeps_a_key_and_says_where(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """Without a keyring in a file that only its owner can read; standard output stays empty."""
    server.answers(Answer(BEGUN), oauth("authorization_pending"), Answer(TOKEN))
    ran = cli("login", "--preset", "client", "--environment", "test")
    assert (ran.code, ran.out) == (0, "")
    assert "Open http://localhost:8000/device and enter the code WDJB-MJHT\n" in ran.err.replace("\x1b[1m", "").replace(
        "\x1b[0m", ""
    )
    assert f"Signed in to {server.url}, tenant acme." in ran.err
    assert "is valid until 2027-02-22" in ran.err
    assert f"It is in {home}/credentials.toml, under the profile default." in ran.err
    assert KEY not in ran.err
    assert "secret-device-code" not in ran.err
    asked = sent(server, 0)
    assert (asked["client_id"], asked["preset"], asked["environment"]) == ("aitbc-cli", "client", "test")
    assert asked["client_name"] == login_module.machine_name()
    assert sent(server)["device_code"] == "secret-device-code"
    assert KEY not in (home / "config.toml").read_text()
    for name in ("config.toml", "credentials.toml"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert sorted(path.name for path in home.iterdir()) == ["config.toml", "credentials.toml"]


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (oauth("access_denied"), 3, "the sign-in was refused: a sentence about access_denied"),
        (oauth("expired_token"), 1, "the code expired before anybody approved it"),
        (oauth("invalid_grant"), 1, "the server refused the sign-in: a sentence about invalid_grant (invalid_grant)"),
        (Answer(b"<html>", 400), 1, "is no AITBC server"),
        (Answer(b"<html>", 200), 1, "is no AITBC server"),
    ],
)
def test_how_a_login_can_end(
    answer: Answer, code: int, said: str, cli: Cli, server: ScriptedServer, home: Path
) -> None:
    """Each end has its words, and nothing is kept."""
    server.answers(Answer(BEGUN), answer)
    ran = cli("login")
    assert ran.code == code
    assert said in ran.err
    assert not home.exists()


def test_a_server_without_sign_in_is_told(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """An older release answers 401 to paths that it does not know."""
    server.answers(Answer(problem(401, "missing_api_key"), 401))
    ran = cli("login")
    assert ran.code == 1
    assert "has no sign-in for command lines" in ran.err


def test_a_server_that_is_away_is_told_at_once(cli: Cli, home: Path) -> None:
    """Before anybody goes to look for a code."""
    ran = cli("login", "--base-url", "http://127.0.0.1:9")
    assert ran.code == 1
    assert ran.err.startswith("error: no answer from http://127.0.0.1:9")


@pytest.mark.parametrize("url", ["nonsense", "http://user:pw@host", "ftp://host"])
def test_an_address_that_is_none(url: str, cli: Cli, home: Path) -> None:
    """As everywhere else."""
    ran = cli("login", "--base-url", url)
    assert ran.code == 2
    assert "--base-url must be an address such as" in ran.err


def test_an_outage_while_waiting_is_sat_out(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """RFC 8628, 3.5: the code goes on living."""
    server.answers(Answer(BEGUN), Drop(), Answer({"error": "x"}, 502), oauth("authorization_pending"), Answer(TOKEN))
    assert cli("login").code == 0


def test_waiting_slows_down_and_ends() -> None:
    """Five seconds more for each slow_down, as long as a server that is away asks for, and no longer than the code."""
    now, waits = [0.0], []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    flow = login_flow.SignIn("http://127.0.0.1:9", sleep=sleep, clock=lambda: now[0])
    pending, slower = (
        httpx2.Response(400, json={"error": each, "error_description": ""})
        for each in ("authorization_pending", "slow_down")
    )
    answers = iter([pending, slower, pending, slower, *[pending] * 100])
    flow._post = lambda *_: next(answers)  # type: ignore[method-assign]
    begun = msgspec.convert({**BEGUN, "interval": 5}, DeviceAuthorization)
    with flow, pytest.raises(CommandError, match="expired"):
        flow.wait(begun)
    assert waits[:6] == [5, 5, 10, 10, 15, 15]
    assert now[0] <= 600


def test_json_is_the_key_without_its_secret(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """`--output json` prints the API's object."""
    ran = sign_in(cli, server, "--output", "json")
    assert ran.json["id"] == API_KEY["id"]
    assert KEY not in ran.out


def test_hostile_texts_of_a_server_do_not_steer_the_terminal(cli: Cli, server: ScriptedServer, home: Path) -> None:
    """Codes and addresses are shown without control characters."""
    server.answers(
        Answer({**BEGUN, "user_code": "\x1b[2JX", "verification_uri": "http://x/\x1b]0;\x07"}), Answer(TOKEN)
    )
    shown = cli("login", "--no-color").err
    assert "\x1b" not in shown
    assert "\x07" not in shown


@pytest.mark.parametrize("name", ["", "\n", "laptop\x1b[2J", "x" * 300, "\u202elaptop"])
def test_the_machine_s_name_is_one_that_the_server_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine calls itself."""
    monkeypatch.setattr("socket.gethostname", lambda: name)
    assert 1 <= len(check_name(login_module.machine_name())) <= 100


def test_no_browser_is_opened_where_nobody_sits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither without a terminal, nor over SSH, nor without a display."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    for variable in ("SSH_CONNECTION", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    assert not login_module._has_browser()
    monkeypatch.setenv("DISPLAY", ":0")
    assert login_module._has_browser()
    monkeypatch.setenv("SSH_CONNECTION", "x")
    assert not login_module._has_browser()


def test_ctrl_c_while_waiting_leaves_nothing(server: ScriptedServer, home: Path) -> None:
    """Exit 130, quietly, and no file."""
    server.answers(Answer(BEGUN), Hang())
    child = subprocess.Popen(
        [sys.executable, "-m", "aitbc.cli", "login"],
        env=environment(AITBC_BASE_URL=server.url, XDG_CONFIG_HOME=str(home.parent)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while len(server.requests) < 2:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=10)
    assert (child.returncode, out) == (130, b"")
    assert b"Traceback" not in err
    assert not home.exists()
