"""Systems under test as processes: started on one core, awaited, ended by their own id, never by name."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import IO

from bench.common.machine import pinned

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 10.0
_POLL_S = 0.05


class ServerError(Exception):
    """A system under test did not start, or went away; the text holds what it said."""


class Server:
    """A running system under test; ``port`` is on 127.0.0.1."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, output: IO[bytes]) -> None:
        self._process = process
        self._output = output
        self.port = port

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def status(self, path: str, headers: Mapping[str, str] | None = None) -> int:
        """The status that a GET is answered with. Raises OSError where there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            return connection.getresponse().status
        finally:
            connection.close()

    def cpu_s(self) -> float:
        """The processor time that the process has used so far, in seconds (children that still run not included)."""
        with open(f"/proc/{self._process.pid}/stat", encoding="utf-8") as file:  # noqa: PTH123
            # The name in parentheses may hold spaces; utime and stime are the 12th and 13th field after it.
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_until_ready(self, path: str, headers: Mapping[str, str] | None = None) -> None:
        """Return once a GET of ``path`` is answered 200. Raises ServerError."""
        deadline = time.monotonic() + READY_WITHIN_S
        answer = "nothing"
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServerError(f"it exited with {self._process.returncode} before it was ready: {self.said()}")
            try:
                answer = str(self.status(path, headers))
            except (OSError, http.client.HTTPException):
                answer = "nothing"
            if answer == "200":
                return
            time.sleep(_POLL_S)
        raise ServerError(f"{path} answered {answer} after {READY_WITHIN_S:.0f} s: {self.said()}")

    def said(self) -> str:
        """The end of its output."""
        self._output.seek(0)
        return self._output.read()[-2000:].decode(errors="replace").strip() or "(it said nothing)"

    def stop(self) -> None:
        """End it: asked first, killed when it does not go."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(
    command: Sequence[str], *, core: int, port: int, ready_path: str, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a system under test on ``core`` for as long as the block lasts. Raises ServerError.

    ``ready_path`` is answered 200 once it may be measured; ``env`` is added to the environment.
    """
    with tempfile.TemporaryFile() as output:
        with pinned(core):
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
            )
        server = Server(process, port, output)
        try:
            server.wait_until_ready(ready_path)
            yield server
        finally:
            server.stop()


def running_module(module: str, *arguments: str, core: int, ready_path: str) -> AbstractContextManager[Server]:
    """The same for a module of this repository that takes ``--port``."""
    port = free_port()
    command = [sys.executable, "-m", module, "--port", str(port), *arguments]
    return running(command, core=core, port=port, ready_path=ready_path)


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
