"""A raw HTTP client for what no well-behaved one does, and servers that a test may break."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.e2e.processes import ServerProcess, running
from tests.support.postgres import PostgresServer, run_sql


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A fresh ``aitbc serve`` of the test's own."""
    with running("serve", data_dir=tmp_path / "data") as process:
        yield process


class RawRequest:
    """A request that is sent piece by piece."""

    def __init__(self, server: ServerProcess) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port))

    def send(self, text: str) -> None:
        """Send these bytes now."""
        self._socket.sendall(text.encode())

    def answer(self, timeout_s: float = 10.0) -> str:
        """Everything that comes back until the server closes the connection."""
        self._socket.settimeout(timeout_s)
        data = b""
        while piece := self._socket.recv(65536):
            data += piece
        return data.decode()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


@pytest.fixture
def raw() -> Iterator[Callable[[ServerProcess], RawRequest]]:
    """Opens raw requests, which are hung up at the end."""
    opened: list[RawRequest] = []

    def open_one(server: ServerProcess) -> RawRequest:
        opened.append(RawRequest(server))
        return opened[-1]

    yield open_one
    for request in opened:
        request.close()


@pytest.fixture
def fresh_postgres(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, as a person would write it."""
    name = f"s{uuid4().hex}"
    run_sql(postgres.get_uri(), f"CREATE DATABASE {name};")
    yield postgres.get_uri(name)
    run_sql(postgres.get_uri(), f"DROP DATABASE {name} WITH (FORCE);")
