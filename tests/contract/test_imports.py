"""Who sends a job installs no server: what `aitbc` may import, held at run time.

The direction of all other imports is held by import-linter (`make lint`).
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"

# The modules of the `server` extra, and the server itself.
SERVER_MODULES = (
    "aiosqlite",
    "aitbc_server",
    "alembic",
    "asyncpg",
    "cryptography",
    "granian",
    "greenlet",
    "jinja2",
    "litestar",
    "prometheus_client",
    "sqlalchemy",
    "structlog",
    "uvloop",
)
# These commands are the server's own, and are loaded when they are called.
SERVER_COMMANDS = ("aitbc.cli.admin", "aitbc.cli.dev", "aitbc.cli.serve")

IMPORT_ALL_WITHOUT_SERVER = f"""
import importlib, pkgutil, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {SERVER_MODULES!r}:
            raise ModuleNotFoundError(f"{{name}} is not installed with the SDK", name=name)

sys.meta_path.insert(0, Refuse())
import aitbc

# `__main__` runs the command line when it is imported.
skipped = ("aitbc.__main__.", "aitbc.cli.__main__.", *(name + "." for name in {SERVER_COMMANDS!r}))
for module in pkgutil.walk_packages(aitbc.__path__, "aitbc.", onerror=lambda name: None):
    if not (module.name + ".").startswith(skipped):
        importlib.import_module(module.name)
        print(module.name)
"""


def test_the_sdk_and_the_cli_import_without_the_server() -> None:
    """Every module of `aitbc` but the server commands works where only the base install is there."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL_WITHOUT_SERVER], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "aitbc.keyformat" in done.stdout.split()


def test_the_key_format_is_standard_library_only() -> None:
    """`keyformat.py` can be copied into any scanner: it imports nothing that must be installed."""
    tree = ast.parse((SRC / "aitbc" / "keyformat.py").read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add("(relative)" if node.level else str(node.module).partition(".")[0])
    assert imported
    assert imported <= sys.stdlib_module_names


def test_an_operators_command_waits_for_no_import_that_it_does_not_need() -> None:
    """`aitbc admin set-plan` is typed by a person: neither a web framework nor a log's decoration is loaded for it."""
    modules = "aitbc_server.serving.installation, aitbc_server.logging, sys"
    asked = f"import {modules}; aitbc_server.logging.configure('warning'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "sqlalchemy.ext.asyncio" in loaded
    unneeded = {
        "alembic",
        "granian",
        "litestar",
        "rich",
        "structlog",
        "aitbc_server.gate.asgi",
        "aitbc_server.gate.gate",
    }
    assert not loaded & unneeded
