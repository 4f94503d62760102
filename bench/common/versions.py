"""The versions of everything that takes part in a measurement."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

from bench.common import wrk

PACKAGES = ("aitbc", "granian", "uvloop", "litestar", "msgspec", "sqlalchemy", "aiosqlite", "hiredis")


def versions() -> dict[str, str]:
    """Name and version; what is not installed is left out. ``commit`` ends in ``+`` where the tree was changed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    program = shutil.which("wrk")
    if program is not None:
        found["wrk"] = wrk.version(program)
    commit = _git("rev-parse", "--short", "HEAD")
    if commit:
        found["commit"] = commit + ("+" if _git("status", "--porcelain", "--", "src") else "")
    return found


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
