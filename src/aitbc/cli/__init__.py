"""The command line ``aitbc``. Nothing heavy is imported before it is needed: ``aitbc --version`` must be quick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aitbc.cli.settings import Settings


def main(args: Sequence[str] | None = None, *, settings: Settings | None = None) -> int:
    """Run the command line ``args`` (default: the process's own) and return its exit code.

    0 ok, 1 error, 2 usage, 3 not authenticated or not allowed, 4 rate limited, 5 not found, 130 interrupted.
    """
    try:
        from aitbc.cli.run import run

        return run(args, settings)
    except KeyboardInterrupt:
        return 130
