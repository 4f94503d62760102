"""The CLI in this process against a scripted HTTP server, and as a process of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.sdk.scripted import ScriptedServer, scripted_server

from aitbc import keyformat
from aitbc.cli import main
from aitbc.cli.settings import Settings

# Two hours after the samples' times.
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
KEY = keyformat.build("test", "0123456789ab", "S" * 43)
VARIABLES = ("AITBC_API_KEY", "AITBC_BASE_URL", "AITBC_TENANT_ID", "AITBC_PROFILE", "NO_COLOR")
# Where no profile is, and none is made.
NO_CONFIG = "/nonexistent/aitbc-tests"


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
    monkeypatch.setenv("XDG_CONFIG_HOME", NO_CONFIG)
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


@pytest.fixture
def home(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for the configuration, no key in the environment, and no keyring."""
    monkeypatch.delenv("AITBC_API_KEY")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    return tmp_path / "aitbc"


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[tuple[str, str], str]]:
    """A keyring that works: what is in it."""
    import keyring as library
    from keyring.backend import KeyringBackend

    entries: dict[tuple[str, str], str] = {}

    class Memory(KeyringBackend):
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            return entries.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            entries[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del entries[service, username]

    before = library.get_keyring()
    library.set_keyring(Memory())  # type: ignore[no-untyped-call]
    yield entries
    library.set_keyring(before)


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without what would change the CLI, and with ``variables``."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return kept | {"XDG_CONFIG_HOME": NO_CONFIG} | variables


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
