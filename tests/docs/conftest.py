"""`aitbc dev` as the reader of a page has it running: in a folder of its own, on a free port."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.snippets import link_environment

START_S = 60.0


@pytest.fixture
def beside_dev(tmp_path: Path) -> Iterator[Path]:
    """The folder in which somebody typed `make run`; the server is ready."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    link_environment(folder)
    log = (folder / "dev.log").open("wb")
    command = [sys.executable, "-m", "aitbc.cli", "dev", "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("API_KEY")}
    process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    try:
        _wait_until_ready(process, folder / "dev.log")
        yield folder
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when it says that it runs, which it does once it answers."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if "AITBC is running on" in log.read_text(encoding="utf-8"):
            return
        time.sleep(0.05)
    raise AssertionError(f"the server did not become ready:\n{log.read_text(encoding='utf-8')}")
