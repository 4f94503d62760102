"""``make run``: make stands between the person and the server, and the server ends with it, however it ends.

The tree has this project's Makefile, a space in its path, and an installation that is there already: installing is the
subject of ``tests/tools``.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.e2e.processes import STOP_S, ServerProcess, environment
from tests.e2e.test_dev import alive

ROOT = Path(__file__).parents[2]


class Tree:
    """A folder to call make in. What is still running at the end is killed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.servers: list[ServerProcess] = []
        for folder in ("tools", ".venv/bin"):
            (root / folder).mkdir(parents=True)
        shutil.copy(ROOT / "Makefile", root / "Makefile")
        (root / "tools" / "bootstrap.sh").write_text("exit 0\n", encoding="utf-8")
        command = root / ".venv" / "bin" / "aitbc"
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m aitbc "$@"\n', encoding="utf-8")
        command.chmod(0o755)

    def run(self, port: int = 0) -> ServerProcess:
        """``make run``, ready. Its process is make."""
        log = self.root / f"{len(self.servers)}.log"
        with log.open("wb") as file:
            make = subprocess.Popen(
                ["make", "run", f"ARGS=--port {port}"],
                cwd=self.root,
                env=environment(self.root),
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        server = ServerProcess(self.root / ".aitbc", make, log)
        self.servers.append(server)
        server.wait_until_ready()
        return server

    def server_pid(self) -> int:
        """The process of the server itself."""
        return int((self.root / ".aitbc" / "server.lock").read_text(encoding="utf-8").split()[0])

    def close(self) -> None:
        """Leave nothing behind."""
        for server in self.servers:
            if server.process.poll() is None:
                server.process.terminate()
                server.process.wait(2 * STOP_S)
            with suppress(ProcessLookupError):
                os.killpg(server.process.pid, signal.SIGKILL)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    tree = Tree(tmp_path / "a tree")
    try:
        yield tree
    finally:
        tree.close()


def test_sigkill_of_make_leaves_nothing_behind(tree: Tree) -> None:
    """The port and the folder are free at once for the next `make run`; nothing of the first one lives on."""
    first = tree.run()
    pid = tree.server_pid()
    assert pid != first.process.pid
    first.kill()
    second = tree.run(first.port)
    assert second.port == first.port
    assert tree.server_pid() != pid
    assert not alive(pid)
    assert "the process that started this server was killed" in first.text()


def test_make_that_is_asked_to_end_lets_the_server_stop_in_order(tree: Tree) -> None:
    """SIGTERM reaches the server, which stores what it has and says so; make waits for it."""
    server = tree.run()
    pid = tree.server_pid()
    began_s = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(STOP_S)
    assert time.monotonic() - began_s < STOP_S
    assert not alive(pid)
    assert "stopped" in server.text()
    assert "was killed" not in server.text()
