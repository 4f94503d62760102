"""The reference of the command line, written by a Python of its own."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = "import sys; from aitbc.cli._reference import reference; sys.stdout.write(reference())"


def reference() -> str:
    """Markdown. A command keeps its help option from whoever showed it first, which must be nobody else."""
    return subprocess.run([sys.executable, "-c", _PROGRAM], check=True, capture_output=True, encoding="utf-8").stdout
