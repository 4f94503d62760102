"""What is made once and kept, such as installed peers: a folder outside of the repository, which may be deleted."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.common.machine import CannotMeasureError

VARIABLE = "AITBC_BENCH_CACHE"

# An installation that takes longer waits for something that does not come.
_INSTALL_WITHIN_S = 900


class MissingPeerError(CannotMeasureError):
    """A peer cannot be installed here; the text says which, why and what to do."""


def cache_folder() -> Path:
    """``AITBC_BENCH_CACHE``, or ``~/.cache/aitbc-bench``."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path.home() / ".cache" / "aitbc-bench"


def made_once(name: str, wanted: str, make: Callable[[Path], None]) -> Path:
    """The folder of a thing. ``wanted`` says what belongs into it: where that changes, it is made anew.

    ``make`` fills an empty folder at its final place, because environments know where they are; a folder without
    the mark that is set at the end is not believed. Raises what ``make`` raises.
    """
    digest = hashlib.sha256(f"{sys.version_info[:2]}\n{wanted}".encode()).hexdigest()[:12]
    folder = cache_folder() / f"{name}-{digest}"
    mark = folder / ".complete"
    if mark.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"making {folder} ...", file=sys.stderr, flush=True)
    make(folder)
    mark.touch()
    return folder


def run_installer(name: str, command: Sequence[str | Path], *, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run one step of an installation; what it printed. Raises MissingPeerError with its last words."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_INSTALL_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingPeerError(f"{name} is missing and cannot be installed: {error}") from error
    if done.returncode != 0:
        raise MissingPeerError(f"{name} is missing and cannot be installed: {done.stdout.strip()[-600:]}")
    return done.stdout
