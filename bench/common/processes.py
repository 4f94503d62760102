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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from bench.common.machine import pinned

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 10.0
_POLL_S = 0.05


class ServerError(Exception):
    """A system under test did not start, or went away; the text holds what it said."""


class Server:
    """A running system under test; ``port`` is on 127.0.0.1.

    ``beside`` are servers that belong to it, such as its store: they rest when it rests, and their work is its work.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, output: IO[bytes], beside: Sequence[Server] = ()
    ) -> None:
        self._process = process
        self._output = output
        self._beside = beside
        self.port = port

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def status(self, path: str, *, timeout_s: float = 10) -> int:
        """The status that a GET is answered with. Raises OSError where there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def cpu_s(self) -> float:
        """The processor time that its processes, and those beside it, have used so far, in seconds."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                ticks += ticks_of_group(stat.read_text(encoding="utf-8"), self._process.pid)
            except OSError:
                continue  # It ended while the folder was read.
        return ticks / os.sysconf("SC_CLK_TCK") + sum(server.cpu_s() for server in self._beside)

    @contextmanager
    def alone(self, others: Iterable[Server]) -> Iterator[None]:
        """Meanwhile the ``others`` stand still: what they still have to do falls into their own rounds."""
        resting = [other for other in others if other is not self]
        for other in resting:
            other.rest()
        try:
            yield
        finally:
            for other in resting:
                other.go_on()

    def rest(self) -> None:
        """Stand still: itself first, then what it waits for."""
        self.signal(signal.SIGSTOP)
        for server in self._beside:
            server.rest()

    def go_on(self) -> None:
        """The other way round, so that it never waits for what stands still."""
        for server in self._beside:
            server.go_on()
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        """Send a signal to all its processes: they are a process group of their own."""
        os.killpg(self._process.pid, number)

    def wait_until_ready(self, probe: Callable[[Server], int], within_s: float) -> None:
        """Return once ``probe`` gives 200; an OSError is nothing yet. Raises ServerError."""
        deadline = time.monotonic() + within_s
        answer = "nothing"
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServerError(f"it exited with {self._process.returncode} before it was ready: {self.said()}")
            try:
                answer = str(probe(self))
            except (OSError, http.client.HTTPException):
                answer = "nothing"
            if answer == "200":
                return
            time.sleep(_POLL_S)
        raise ServerError(f"it answered {answer} after {within_s:.0f} s: {self.said()}")

    def said(self) -> str:
        """The end of its output."""
        return self._whole_output()[-2000:].strip() or "(it said nothing)"

    def has_said(self, text: str) -> bool:
        """Whether its output has ``text`` in it so far."""
        return text in self._whole_output()

    def _whole_output(self) -> str:
        # Read at an offset of its own: the process writes where the shared one stands.
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def stop(self) -> None:
        """End it: asked first, killed when it does not go."""
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self._process.wait()


@contextmanager
def running(
    command: Sequence[str],
    *,
    core: int,
    port: int,
    ready_path: str = "/",
    probe: Callable[[Server], int] | None = None,
    env: Mapping[str, str] | None = None,
    beside: Sequence[Server] = (),
    ready_within_s: float = READY_WITHIN_S,
) -> Iterator[Server]:
    """Run a system under test on ``core`` for as long as the block lasts. Raises ServerError.

    ``ready_path`` is answered 200 once it may be measured; ``probe`` is asked instead where it does not speak HTTP.
    ``env`` is added to the environment, out of which our own variables are taken: nobody's settings are measured.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AITBC_")}
    with tempfile.TemporaryFile() as output:
        with pinned(core):
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**inherited, **(env or {})},
                start_new_session=True,
            )
        server = Server(process, port, output, beside)
        try:
            server.wait_until_ready(probe or (lambda each: each.status(ready_path)), ready_within_s)
            yield server
        finally:
            server.stop()


def ticks_of_group(stat: str, group: int) -> int:
    """The clock ticks that a process has used, by its /proc/<pid>/stat; 0 for one of another process group."""
    # The name in parentheses may hold spaces and parentheses. After it come state, parent, group; utime and stime are
    # the 12th and 13th.
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]) if int(fields[2]) == group else 0


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
