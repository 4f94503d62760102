"""Find the Chromium that the browser tests drive, and install it where that can be done: `browser.py`.

Debian's and Ubuntu's own package is taken, by root alone: nothing is downloaded past the system's packages. Where it
cannot be installed the tests say so and are skipped; in CI (`CI=true`) they fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
MISSING = "no Chromium is on PATH: install it (Debian: apt-get install -y chromium), or the browser tests do not run"


def find() -> str | None:
    """The path of a Chromium, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def may_install() -> bool:
    """Whether this is root on a system with apt."""
    return os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get") is not None


def install() -> None:
    """Install Debian's package; what goes wrong is told by apt, and found out by ``find``."""
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "chromium", "fonts-liberation"]):
        subprocess.run(["apt-get", "--quiet=2", *arguments], env=quiet, stdout=sys.stderr, check=False)  # noqa: S607 - the system's own, on PATH


def main() -> int:
    """Install a browser where none is. Returns 0 also where that failed: most tests need none."""
    if find() is None and may_install():
        print("Installing Chromium for the browser tests ...", file=sys.stderr, flush=True)
        install()
    if find() is None:
        print(f"warning: {MISSING}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
