"""Real processes of the command line that do not import everything anew.

Most of what `aitbc serve` or `aitbc admin` takes to start is the import of its libraries. One process per run of the
tests has them imported, and forks for each command: the child is a process of its own with its own environment,
folder, files and signals, and everything that our code does happens in it. What a newcomer types is started from
nothing, in ``tests/e2e/test_dev.py``.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

_IMPORTED = (
    "aiosqlite",
    "aitbc.cli.admin",
    "aitbc.cli.dev",
    "aitbc.cli.run",
    "aitbc.cli.serve",
    "aitbc_server.dev.banner",
    "aitbc_server.dev.server",
    "aitbc_server.logging",
    "aitbc_server.serving.installation",
    "aitbc_server.serving.ready",
    "aitbc_server.serving.server",
    "aitbc_server.db.migrate",
    "litestar.plugins.attrs",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "rich.console",
    "rich.table",
    "uvloop",
)
_BETWEEN_LOOKS_S = 0.01

#: A variable of a process: functions, "module:function" separated by commas, that are called in it before its command.
#: So a test can watch a real server from inside, make it die at a chosen point, or switch one of its mechanisms off.
PLUGINS = "TEST_PLUGINS"


class WarmProcess:
    """A process of the command line; what ``subprocess.Popen`` offers of it."""

    def __init__(
        self, arguments: Sequence[str], *, env: Mapping[str, str], out: Path, err: Path, cwd: Path | None = None
    ) -> None:
        self._nursery = _nursery()
        self.pid: int = self._nursery.ask(
            start=list(arguments), env=dict(env), out=str(out), err=str(err), cwd=str(cwd or Path.cwd())
        )
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, the signal that ended it as a negative number, or None while it runs."""
        if self.returncode is None:
            self.returncode = self._nursery.ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once there is one. Raises TimeoutExpired after ``timeout`` seconds."""
        deadline_s = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline_s is not None and time.monotonic() > deadline_s:
                raise subprocess.TimeoutExpired("aitbc", timeout or 0)
            time.sleep(_BETWEEN_LOOKS_S)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, while it is there."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class _Nursery:
    """The process that forks, as seen from the tests; they may ask from several threads."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        self._lock = threading.Lock()

    def ask(self, **request: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@functools.cache
def _nursery() -> _Nursery:
    nursery = _Nursery()
    atexit.register(nursery.close)
    return nursery


def _main() -> None:
    """Fork for each request that is read, until there are no more; then nothing that was started lives on."""
    requests, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    with open(os.devnull, "r+b", buffering=0) as nothing:  # noqa: PTH123 - for its descriptor
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
    # Ctrl-C in the terminal is for the tests, which then end this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in _IMPORTED:
        importlib.import_module(name)
    # Nothing that is here becomes garbage: a child need not look through it when it ends, which takes it longest.
    gc.collect()
    gc.freeze()
    children: set[int] = set()
    while line := requests.readline():
        request = json.loads(line)
        if "start" in request:
            pid = os.fork()
            if pid == 0:
                sys.exit(_run(request, requests, answers))
            children.add(pid)
            answers.write(b"%d\n" % pid)
        else:
            ended, status = os.waitpid(request["poll"], os.WNOHANG)
            children.discard(ended)
            answers.write(json.dumps(os.waitstatus_to_exitcode(status) if ended else None).encode() + b"\n")
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _run(request: Any, *inherited: BinaryIO | Any) -> int:
    """One command line, in the child."""
    for stream in inherited:
        stream.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    out = os.open(request["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    err = out if request["err"] == request["out"] else os.open(request["err"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in {out, err}:
        os.close(descriptor)
    for plugin in filter(None, os.environ.pop(PLUGINS, "").split(",")):
        module, _, function = plugin.partition(":")
        getattr(importlib.import_module(module), function)()
    from aitbc.cli import main

    return main(request["start"])


if __name__ == "__main__":
    _main()
