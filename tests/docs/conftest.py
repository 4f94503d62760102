"""`aitbc dev` as the reader of a page has it running: in a folder of its own, on a free port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.snippets import link_environment

START_S = 30.0


@pytest.fixture
def beside_dev(tmp_path: Path) -> Iterator[Path]:
    """The folder in which somebody typed `make run`; the server is ready."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    link_environment(folder)
    port = _free_port()
    log = (folder / "dev.log").open("wb")
    command = [sys.executable, "-m", "aitbc.cli", "dev", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("API_KEY")}
    process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/health/ready", process, folder / "dev.log")
        yield folder
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own server
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"the server did not become ready:\n{log.read_text(encoding='utf-8')}")
