"""A program with its pipes: fed, read and ended as a whole process group, without ever blocking on it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO

STDERR_TAIL_BYTES = 4096

_CHUNK_BYTES = 65536
_TERMINATE_GRACE_S = 2.0
_JOIN_S = 5.0
_KILL = signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL


class Program:
    """``command`` running with ``stdin`` fed to it. Raises OSError where it cannot be started.

    ``too_much`` is set once it printed more than ``max_output_bytes``. ``end`` must be called, however it goes.
    """

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], stdin: bytes, max_output_bytes: int
    ) -> None:
        self.too_much = threading.Event()
        self._max_output_bytes = max_output_bytes
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._process = subprocess.Popen(  # noqa: S603 - running the operator's program is what the miner is for
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            # A group of its own (POSIX), so that what the program starts ends with it, and the terminal's
            # Ctrl-C reaches the miner alone, which lets the program finish.
            start_new_session=True,
        )
        self._threads = [
            threading.Thread(target=self._feed, args=(self._process.stdin, stdin), daemon=True),
            threading.Thread(target=self._read, args=(self._process.stdout, self._keep_stdout), daemon=True),
            threading.Thread(target=self._read, args=(self._process.stderr, self._keep_stderr), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    @property
    def stdout(self) -> bytes:
        """What it printed so far; all of it after ``end``."""
        return bytes(self._stdout)

    @property
    def stderr_tail(self) -> str:
        """The end of its standard error, as text."""
        return bytes(self._stderr).decode("utf-8", "replace").strip()

    def end(self) -> None:
        """Stop the program if it runs, and all that it started, and close the pipes."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_TERMINATE_GRACE_S)
        # Also after a good end: what it left behind holds the pipes, and would pile up on the machine.
        self._signal(_KILL)
        self._process.wait()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                self._process.send_signal(number)
            else:
                os.killpg(self._process.pid, number)

    def _feed(self, pipe: IO[bytes], data: bytes) -> None:
        # A program need not read its input; its exit code tells whether it minded.
        with contextlib.suppress(OSError, ValueError):
            pipe.write(data)
        with contextlib.suppress(OSError, ValueError):
            pipe.close()

    def _read(self, pipe: IO[bytes], keep: Callable[[bytes], bool]) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:
            while (chunk := os.read(pipe.fileno(), _CHUNK_BYTES)) and keep(chunk):
                pass

    def _keep_stdout(self, chunk: bytes) -> bool:
        self._stdout += chunk
        if len(self._stdout) > self._max_output_bytes:
            self.too_much.set()
        return not self.too_much.is_set()

    def _keep_stderr(self, chunk: bytes) -> bool:
        self._stderr += chunk
        del self._stderr[:-STDERR_TAIL_BYTES]
        return True
