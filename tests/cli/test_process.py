"""The CLI as a process: pipes, signals, terminals, colour, start-up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from tests.cli.conftest import KEY, environment, process
from tests.sdk.samples import API_KEY, JOB, job
from tests.sdk.scripted import Answer, Hang, ScriptedServer

if sys.platform == "win32":
    pytest.skip("needs POSIX terminals and signals", allow_module_level=True)

import fcntl
import pty
import struct
import termios

AITBC = [sys.executable, "-m", "aitbc.cli"]
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PAGE = Answer({"items": [API_KEY, {**API_KEY, "id": "key_other0000000"}], "next_cursor": None})


@pytest.fixture
def variables(server: ScriptedServer) -> dict[str, str]:
    """The environment of a child process that talks to the scripted server."""
    return environment(AITBC_BASE_URL=server.url, AITBC_API_KEY=KEY)


def terminal(args: list[str], variables: dict[str, str], typed: str = "", columns: int = 80) -> tuple[int, str]:
    """Run the CLI on a terminal of its own; its exit code and all that it showed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    child = subprocess.Popen(
        [*AITBC, *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=variables | {"TERM": "xterm"},
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b"".join(_until_closed(ours))
    os.close(ours)
    return child.wait(10), shown.decode()


def _until_closed(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # Linux says EIO when the other side is gone.
            return
        if not chunk:
            return
        yield chunk


def test_a_reader_that_has_seen_enough_is_no_error(server: ScriptedServer, variables: dict[str, str]) -> None:
    """`aitbc ... | head -1` prints no traceback, however much is left."""
    server.answers(Answer({"items": [API_KEY] * 2000, "next_cursor": None}))
    command = f"{sys.executable} -m aitbc.cli api-keys list --output json | head -1"
    done = subprocess.run(["sh", "-c", command], env=variables, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[\n", "")


def test_ctrl_c_is_quiet(server: ScriptedServer, variables: dict[str, str]) -> None:
    """Exit 130 and no traceback."""
    server.answers(Hang())
    child = subprocess.Popen([*AITBC, "whoami"], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not server.requests:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=10)
    assert (child.returncode, out.strip(), err.strip()) == (130, b"", b"")


@pytest.mark.parametrize(("typed", "code"), [("n\n", 1), ("\n", 1), ("y\n", 0), ("\x04", 1)])
def test_revoke_asks_on_a_terminal(typed: str, code: int, server: ScriptedServer, variables: dict[str, str]) -> None:
    """It names the key, says that it is the one in use, and takes anything but yes for no."""
    server.answers(Answer(API_KEY), Answer({**API_KEY, "status": "revoked"}))
    exit_code, shown = terminal(["api-keys", "revoke", "key_0123456789ab"], variables, typed)
    assert exit_code == code
    assert 'key_0123456789ab ("ci", test, last used: never)' in shown
    assert "This is THE KEY IN USE, from the environment variable AITBC_API_KEY." in shown
    assert len(server.requests) == (2 if code == 0 else 1)


def test_revoke_with_yes_does_not_ask(server: ScriptedServer, variables: dict[str, str]) -> None:
    """On a terminal too."""
    server.answers(Answer({**API_KEY, "status": "revoked"}))
    assert terminal(["api-keys", "revoke", "key_0123456789ab", "--yes"], variables)[0] == 0
    assert len(server.requests) == 1


def test_waiting_shows_progress_on_a_terminal(server: ScriptedServer, variables: dict[str, str]) -> None:
    """A moving line with the state and the time, which is gone when the result is there."""
    done = {"job_id": "job_1", "state": "COMPLETED", "result": {"words": 6}, "error": None, "receipt": None}
    server.answers(Answer(JOB), Answer(job(state="RUNNING")), Answer(job(state="COMPLETED")), Answer(done))
    code, shown = terminal(["jobs", "wait", "job_1"], variables)
    assert code == 0
    assert "job_1 RUNNING" in shown
    assert "0:00:0" in shown
    assert ESCAPES.sub("", shown).endswith('{\r\n  "words": 6\r\n}\r\n')


def test_tables_fit_a_terminal_and_are_whole_in_a_pipe(server: ScriptedServer, variables: dict[str, str]) -> None:
    """At 80 columns the name wraps and the id does not; in a pipe nothing is cut or coloured."""
    name = "the production deployment of the warehouse in the north"
    page = Answer({"items": [{**API_KEY, "name": name}, API_KEY], "next_cursor": None})
    server.answers(page, page, page)
    _, shown = terminal(["api-keys", "list"], variables)
    lines = ESCAPES.sub("", shown).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert all("key_0123456789ab" in line for line in (lines[1], lines[-1]))
    assert "\x1b[" in shown
    assert "\x1b[3" not in terminal(["api-keys", "list", "--no-color"], variables)[1]
    piped = subprocess.run([*AITBC, "api-keys", "list"], env=variables, capture_output=True, text=True, check=True)
    assert name in piped.stdout
    assert "\x1b" not in piped.stdout


def test_no_color_is_respected(server: ScriptedServer, variables: dict[str, str]) -> None:
    """NO_COLOR and --no-color, for errors too, which stay understandable without."""
    for args, more in (([], {"NO_COLOR": "1"}), (["--no-color"], {})):
        server.answers(PAGE)
        assert "\x1b[3" not in terminal(["api-keys", "list", *args], variables | more)[1]
        assert "\x1b" not in terminal([*args, "frobnicate"], variables | more)[1]
    assert "\x1b[31m" in terminal(["frobnicate"], variables)[1]


def test_other_encodings_get_what_they_can_show(server: ScriptedServer, variables: dict[str, str]) -> None:
    """JSON stays JSON by escapes; tables get a question mark. Neither fails."""
    key = {**API_KEY, "name": "ключ"}
    server.answers(Answer(key), Answer(key))
    latin = variables | {"PYTHONIOENCODING": "latin-1"}
    get = [*AITBC, "api-keys", "get", "key_0123456789ab"]
    shown = subprocess.run([*get, "--output", "json"], env=latin, capture_output=True, check=True).stdout
    assert b"\\u043a" in shown
    shown = subprocess.run(get, env=latin, capture_output=True, check=True).stdout
    assert b"Name          ????" in shown


@pytest.mark.parametrize(
    "args", [["--version"], ["--help"], ["api-keys", "list", "--help"], ["miners", "run", "--help"]]
)
def test_nothing_heavy_is_loaded_for_help(args: list[str]) -> None:
    """Goal P9 rests on it: rich, msgspec, the HTTP client and the worker are loaded when they are used."""
    code = (
        "import sys; from aitbc.cli import main; main(sys.argv[1:]); "
        "heavy = {'msgspec', 'httpx2', 'rich', 'aitbc.worker', 'asyncio', 'importlib.metadata'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_printed() -> None:
    """`aitbc --version`."""
    assert re.fullmatch(r"aitbc \d+\.\d+\.\d+\n", process("--version").stdout)
