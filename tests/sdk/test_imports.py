"""What importing costs, and what it must not bring."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import aitbc
from aitbc._version import __version__


def modules_after(code: str) -> set[str]:
    """The names of all modules that a fresh interpreter holds after ``code``."""
    program = f"import sys\n{code}\nprint(*sys.modules, sep='\\n')"
    finished = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(finished.stdout.split())


def test_importing_the_package_alone_is_light() -> None:
    """``import aitbc`` brings neither the HTTP nor the JSON library, nor the server (goal P9)."""
    assert not modules_after("import aitbc") & {"httpx2", "msgspec", "asyncio", "aitbc_server", "email"}


def test_importing_the_clients_brings_no_http() -> None:
    """httpx2 is imported when a client is made."""
    assert not modules_after("from aitbc import AITBCClient, AsyncAITBCClient") & {"httpx2", "aitbc_server"}


def test_a_client_never_brings_the_server() -> None:
    """The SDK works on the base dependencies."""
    modules = modules_after("import aitbc; aitbc.AITBCClient('k'); aitbc.AsyncAITBCClient('k')")
    assert "httpx2" in modules
    assert not modules & {"aitbc_server", "litestar", "sqlalchemy", "granian"}


def test_exceptions_are_there_after_a_plain_import() -> None:
    """``import aitbc`` and then ``except aitbc.exceptions.AITBCError`` works."""
    assert "aitbc.exceptions" in modules_after("import aitbc; aitbc.exceptions.AITBCError")


def test_what_the_package_offers() -> None:
    """All that is announced exists, completion shows it, and the rest is an AttributeError."""
    assert set(aitbc.__all__) <= set(dir(aitbc))
    for name in aitbc.__all__:
        assert getattr(aitbc, name) is not None
    assert aitbc.exceptions.AITBCError.__module__ == "aitbc.exceptions"
    with pytest.raises(AttributeError, match="no attribute 'Client'"):
        getattr(aitbc, "Client")  # noqa: B009 - mypy knows that it is not there


def test_the_version_is_that_of_the_distribution() -> None:
    """The constant and pyproject.toml say the same."""
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert pyproject["project"]["version"] == __version__ == aitbc.__version__
