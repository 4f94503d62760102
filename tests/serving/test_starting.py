"""What keeps a server from starting is one clear line each, and nothing is left half done."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.e2e.processes import START_S, ServerProcess, admin, environment, running, start

TRACEBACK = "Traceback"


def refused(data_dir: Path, code: int = 1, **variables: str) -> list[str]:
    """The lines that ``aitbc serve`` prints when it does not start. Asserts its exit code."""
    server = start("serve", data_dir=data_dir, variables=variables)
    try:
        assert server.process.wait(START_S) == code, server.text()
    finally:
        server.process.kill()
    assert TRACEBACK not in server.text()
    return server.text().splitlines()


def test_a_second_server_on_the_folder_is_refused(server: ServerProcess) -> None:
    """Two servers on one SQLite folder would each let N requests through: the second says who was first."""
    expected = [
        f"error: another server (process {server.process.pid}) is running on the data folder {server.data_dir}",
        "hint: stop it, or give this one a folder of its own",
    ]
    assert refused(server.data_dir) == expected
    # Whoever chose another port on its advice would only get here.
    assert refused(server.data_dir, AITBC_PORT=str(server.port)) == expected
    assert server.process.poll() is None


def test_a_taken_port_is_refused_even_if_a_server_of_ours_has_it(server: ServerProcess, tmp_path: Path) -> None:
    """Two servers never share a port: half of the requests would go to the wrong one."""
    lines = refused(tmp_path / "other", AITBC_PORT=str(server.port))
    assert lines[0] == f"error: 127.0.0.1:{server.port} is taken by another program"
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        port = foreign.getsockname()[1]
        assert refused(tmp_path / "other", AITBC_PORT=str(port))[0].endswith("is taken by another program")
    assert not (tmp_path / "other").exists()


def test_bad_settings_are_all_named_and_exit_with_2(tmp_path: Path) -> None:
    """Which, what was expected, what was given; no secret in sight, and no folder made (ASVS 16.2.5)."""
    lines = refused(
        tmp_path / "data", 2, AITBC_PORT="http", AITBC_WORKERS="3", AITBC_SECRET_KEY="hunter2", AITBC_PROT="1"
    )
    assert lines == [
        "warning: AITBC_PROT has no effect: there is no such setting; did you mean AITBC_PORT?",
        (
            "error: AITBC_SECRET_KEY: expected secret keys of 32 characters or more, separated by commas, newest first;"
            " got a value that is not shown here"
        ),
        "error: AITBC_PORT: expected a port number from 0 to 65535; got 'http'",
        (
            "error: AITBC_WORKERS: expected 1, or AITBC_DATABASE_URL and AITBC_VALKEY_URL beside it, in which workers"
            " share limits and data; got 3"
        ),
    ]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no such file or directory"),
        (b"short", "a secret key needs 32 characters or more"),
        (b"", "no secret key is given"),
        (b"\xff" * 40, "it is no text"),
    ],
)
def test_a_secret_key_file_that_cannot_be_used_is_a_setting(tmp_path: Path, content: bytes | None, why: str) -> None:
    """The variable is named, nothing of the file is shown, no folder is made; the same for operators' commands."""
    named = tmp_path / "named"
    if content is not None:
        named.write_bytes(content)
    line = (
        "error: AITBC_SECRET_KEY_FILE: expected a file with secret keys of 32 characters or more, one a line; "
        f"got {str(named)!r}: {why}"
    )
    variables = {"AITBC_SECRET_KEY_FILE": str(named)}
    assert refused(tmp_path / "data", 2, **variables) == [line]
    ran = admin(tmp_path / "data", "create-tenant", "--id", "acme", "--plan", "free", variables=variables)
    assert (ran.returncode, ran.stderr) == (2, f"{line}\n")
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder in which not even root can write")
def test_a_folder_that_cannot_be_written_is_named() -> None:
    """A read-only data folder is one line with the folder's name, and a hint."""
    server = subprocess.run(
        [sys.executable, "-m", "aitbc", "serve"],
        env=environment(Path("/proc/self/aitbc")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert server.returncode == 1
    first, hint = server.stderr.splitlines()
    assert first.startswith("error: the data folder /proc/self/aitbc cannot be written to: ")
    assert hint.startswith("hint: AITBC_DATA_DIR names the folder")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """A damaged database is one clear line, and is not touched."""
    (tmp_path / "data").mkdir()
    database = tmp_path / "data" / "aitbc.db"
    database.write_bytes(b"this is no database, and never was" * 100)
    lines = refused(tmp_path / "data")
    assert lines == [f"error: the database {database} cannot be used: file is not a database"]
    assert database.read_bytes().startswith(b"this is no database")


def test_a_schema_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    """Another program's database is not guessed at."""
    assert admin(tmp_path / "data", "migrate").returncode == 0
    with sqlite3.connect(tmp_path / "data" / "aitbc.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'ae1027a6acf'")
    database.close()
    lines = refused(tmp_path / "data")
    assert lines == [
        "error: the database's schema (ae1027a6acf) is none that aitbc makes",
        "hint: AITBC_DATABASE_URL and AITBC_DATA_DIR say which database is used",
    ]


def test_a_lost_secret_key_is_not_replaced_in_silence(server: ServerProcess) -> None:
    """Every API key would stop working: the start is refused until the file is back, or named (ASVS 13.3.4)."""
    server.create_tenant("acme")
    server.create_key("acme", "client")
    assert server.stop() == 0
    key_file = server.data_dir / "secret.key"
    key_file.rename(server.data_dir / "elsewhere")
    assert refused(server.data_dir)[0].startswith(
        f"error: the secret key {key_file} is missing, and the database holds"
    )
    assert not key_file.exists()
    assert (
        "not the one that this database's API keys were made under"
        in refused(server.data_dir, AITBC_SECRET_KEY="n" * 40)[0]
    )
    with running(
        "serve", data_dir=server.data_dir, variables={"AITBC_SECRET_KEY_FILE": f"{key_file.parent}/elsewhere"}
    ):
        pass


def test_the_ready_line_is_json_in_a_pipe_and_short_on_a_terminal(server: ServerProcess) -> None:
    """A machine reads fields, a person reads a line; there is no other noise."""
    lines = [json.loads(line) for line in server.text().splitlines()]
    assert {line["level"] for line in lines} == {"info"}
    assert lines[-1]["message"] == f"aitbc 0.1.0 is ready on {server.url}"
    assert lines[-1]["data_dir"] == str(server.data_dir)
    assert server.stop() == 0
    shown = _on_a_terminal(server.data_dir)
    assert shown.rstrip().endswith("database=SQLite")
    assert "info    aitbc 0.1.0 is ready on http://127.0.0.1:" in shown
    assert "\x1b[" not in shown, "NO_COLOR is set"


def test_listening_beyond_this_machine_without_tls_is_warned_about(tmp_path: Path) -> None:
    """ASVS 12.2.1: keys that travel in the clear are pointed out; behind a proxy with TLS there is no warning."""
    variables = {"AITBC_HOST": "0.0.0.0"}  # noqa: S104 - this is what the warning is about
    for public_url, warned in (("", True), ("https://api.example.com", False)):
        server = start("serve", data_dir=tmp_path / "data", variables=variables | {"AITBC_PUBLIC_URL": public_url})
        deadline = time.monotonic() + START_S
        while "is ready on" not in server.text() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.stop() == 0
        assert ("keys travel unencrypted" in server.text()) is warned


def _on_a_terminal(data_dir: Path) -> str:
    """What ``aitbc serve`` shows on a terminal until it is ready."""
    controller, terminal = pty.openpty()
    variables = environment(data_dir, {"AITBC_PORT": "0", "NO_COLOR": "1"})
    process = subprocess.Popen([sys.executable, "-m", "aitbc", "serve"], env=variables, stderr=terminal)
    os.close(terminal)
    shown = b""
    while b"ready on" not in shown or not shown.endswith(b"\n"):
        shown += os.read(controller, 4096)
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0
    os.close(controller)
    return shown.decode()
