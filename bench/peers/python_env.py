"""Peers that are Python packages: each in a virtual environment of its own, with every version pinned."""

from __future__ import annotations

import venv
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.common.cache import made_once, run_installer

_REQUIREMENTS = Path(__file__).with_name("requirements")


def environment(name: str) -> Path:
    """The folder of the environment that ``requirements/<name>.txt`` describes. Raises MissingPeerError."""
    requirements = _REQUIREMENTS / f"{name}.txt"
    return made_once(name, requirements.read_text(encoding="utf-8"), partial(_install, name, requirements))


def python(environment: Path) -> str:
    """Its interpreter."""
    return str(environment / "bin" / "python")


def versions(name: str, packages: Sequence[str]) -> dict[str, str]:
    """The pinned versions of some of its packages, as they are for this Python."""
    program = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    folder = environment(name)
    said = run_installer(name, [python(folder), "-c", program, *packages], cwd=folder)
    return dict(zip(packages, said.split(), strict=True))


def _install(name: str, requirements: Path, folder: Path) -> None:
    venv.create(folder, with_pip=True)
    # Binary packages only: what must be built first is another program on every machine, and takes an hour.
    command = [python(folder), "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
    run_installer(name, [*command, "-r", requirements], cwd=folder)
