"""Peers from Debian: their packages are unpacked into the cache, so that nothing is installed into the system."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.common.cache import MissingPeerError, made_once, run_installer

_TOOLS = ("apt-get", "dpkg-deb")


def unpacked(name: str, packages: Sequence[str]) -> Path:
    """The root folder of a peer's ``packages``, in the newest version of this release. Raises MissingPeerError."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise MissingPeerError(f"{name} is taken from Debian's packages, and there is no {missing[0]} here")
    return made_once(name, " ".join(packages), partial(_unpack, name, packages))


def versions(root: Path, packages: Sequence[str]) -> dict[str, str]:
    """The versions that ``unpacked`` got, of some of its packages."""
    lines = (root / "packages.txt").read_text(encoding="utf-8").splitlines()
    known = dict(line.split("\t") for line in lines)
    return {package: known[package] for package in packages}


def library_path(root: Path) -> str:
    """What LD_LIBRARY_PATH must be for its programs."""
    return ":".join(str(folder) for lib in ("usr/lib", "lib") for folder in sorted((root / lib).glob("*-linux-gnu*")))


def _unpack(name: str, packages: Sequence[str], root: Path) -> None:
    downloads = root / "downloads"
    downloads.mkdir()
    run_installer(name, ["apt-get", "download", *packages], cwd=downloads)
    lines = []
    for package in sorted(downloads.glob("*.deb")):
        run_installer(name, ["dpkg-deb", "-x", package, root], cwd=root)
        lines.append(run_installer(name, ["dpkg-deb", "-W", package], cwd=root))
    (root / "packages.txt").write_text("".join(lines), encoding="utf-8")
    shutil.rmtree(downloads)
