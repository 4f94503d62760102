"""The CLI in this process against a scripted HTTP server, and as a process of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.sdk.scripted import ScriptedServer, scripted_server

from aitbc import keyformat
from aitbc.cli import main
from aitbc.cli.settings import Settings

# Two hours after the samples' times.
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
KEY = keyformat.build("test", "0123456789ab", "S" * 43)
VARIABLES = ("AITBC_API_KEY", "AITBC_BASE_URL", "AITBC_TENANT_ID", "NO_COLOR")


@dataclass(frozen=True)
class Ran:
    """What a run of the CLI left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, decoded."""
        import json

        return json.loads(self.out)


Cli = Callable[..., Ran]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A fresh scripted server that the environment points to, with a key."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    with scripted_server() as running:
        monkeypatch.setenv("AITBC_BASE_URL", running.url)
        monkeypatch.setenv("AITBC_API_KEY", KEY)
        yield running


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run the command line in this process, at NOW."""

    def run(*args: str, stdin: str = "") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        code = main(args, settings=Settings(clock=lambda: NOW))
        return Ran(code, *capsys.readouterr())

    return run


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without what would change the CLI, and with ``variables``."""
    return {name: value for name, value in os.environ.items() if name not in VARIABLES} | variables


def process(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The CLI as a process of its own."""
    variables = options.pop("env", {})
    return subprocess.run(
        [sys.executable, "-m", "aitbc.cli", *args],
        capture_output=True,
        text=True,
        check=False,
        env=environment(**variables),
        **options,
    )
