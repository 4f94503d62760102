"""Real servers and operators' commands, as processes of their own.

    with running("serve", data_dir=tmp_path, variables={"AITBC_MAX_FAILURES_PER_MINUTE": "1000"}) as server:
        key = server.create_key("acme", "client")

Tests elsewhere that want one shared server import the fixture: ``from tests.e2e.conftest import server``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.warm import WarmProcess

START_S = 60.0
STOP_S = 5.0

_URL = re.compile(r"http://(?:127\.0\.0\.1|\[::1\]):\d+")


def environment(data_dir: Path, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would configure a server or a client, and with ``variables``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AITBC_") and not name.endswith("_API_KEY")
    }
    whole = kept | {"AITBC_DATA_DIR": str(data_dir)} | dict(variables or {})
    # Coverage takes its own variables for set where they are empty.
    return {name: value for name, value in whole.items() if value or not name.startswith("COVERAGE_")}


@dataclass
class ServerProcess:
    """A started server. ``url`` is known once it is ready."""

    data_dir: Path
    process: subprocess.Popen[bytes] | WarmProcess
    log: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    url: str = ""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def wait_until_ready(self) -> None:
        """Return when it says and shows that it is ready. Raises AssertionError with its log where it never does."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            found = _URL.search(self.text())
            if found and _answers(found[0] + "/health/ready"):
                self.url = found[0]
                return
            time.sleep(0.03)
        raise AssertionError(f"the server did not become ready:\n{self.text()}")

    def text(self) -> str:
        """Everything that it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> int:
        """SIGTERM; the exit code. Raises TimeoutExpired where it takes longer than 5 s."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(STOP_S)

    def admin(self, *arguments: str, code: int = 0, variables: Mapping[str, str] | None = None) -> Any:
        """``aitbc admin ...`` beside the server; the JSON that it prints. Asserts its exit code."""
        ran = admin(self.data_dir, "--output", "json", *arguments, variables={**self.variables, **(variables or {})})
        assert ran.returncode == code, ran.stderr
        return json.loads(ran.stdout) if ran.stdout else None

    def create_tenant(self, tenant_id: str, plan: str = "pro") -> None:
        """A tenant."""
        self.admin("create-tenant", "--id", tenant_id, "--plan", plan)

    def create_key(self, tenant_id: str, preset: str, environment: str = "live") -> str:
        """A key of a tenant: its whole text."""
        made = self.admin(
            "create-key", "--tenant", tenant_id, "--preset", preset, "--environment", environment, "--name", preset
        )
        return str(made["key"])


def admin(
    data_dir: Path, *arguments: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """``aitbc admin ...`` on a folder, with a server beside it or without."""
    with tempfile.TemporaryDirectory(prefix="aitbc-admin-") as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = WarmProcess(["admin", *arguments], env=environment(data_dir, variables), out=out, err=err)
        code = process.wait()
        return subprocess.CompletedProcess(arguments, code, out.read_text("utf-8"), err.read_text("utf-8"))


def start(
    command: str,
    *options: str,
    data_dir: Path,
    variables: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    cold: bool = False,
) -> ServerProcess:
    """Start ``aitbc serve`` or ``aitbc dev`` on any free port, without waiting for it.

    ``cold``: by a Python of its own, as a person does, which takes seconds.
    """
    given = {"AITBC_PORT": "0", **(variables or {})} if command == "serve" else dict(variables or {})
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    log = data_dir.parent / f"{data_dir.name}.{time.monotonic_ns()}.log"
    log.touch()
    surroundings = environment(data_dir, given)
    process: subprocess.Popen[bytes] | WarmProcess
    if cold:
        with log.open("wb") as file:
            arguments = [sys.executable, "-m", "aitbc", command, *options]
            process = subprocess.Popen(arguments, env=surroundings, stdout=file, stderr=file, cwd=cwd)
    else:
        process = WarmProcess([command, *options], env=surroundings, out=log, err=log, cwd=cwd)
    return ServerProcess(data_dir, process, log, given)


@contextmanager
def running(
    command: str,
    *options: str,
    data_dir: Path,
    variables: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    cold: bool = False,
) -> Iterator[ServerProcess]:
    """A server that is ready; stopped at the end, whatever happened."""
    server = start(command, *options, data_dir=data_dir, variables=variables, cwd=cwd, cold=cold)
    try:
        server.wait_until_ready()
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()
            try:
                server.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
                raise


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own server
            return True
    except (urllib.error.URLError, OSError):
        return False
