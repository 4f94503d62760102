"""One run of the command line: errors become exit codes, pipes that break and Ctrl-C stay quiet."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import click

from aitbc.cli.errors import EXIT_ERROR, EXIT_INTERRUPTED
from aitbc.cli.reporting import report
from aitbc.cli.settings import Settings


def run(args: Sequence[str] | None, settings: Settings | None) -> int:
    """Run the command line and return its exit code. Errors without a remedy of ours are raised."""
    from aitbc.cli.app import cli

    _never_fail_to_print()
    settings = settings or Settings()
    try:
        code = cli.main(args, prog_name="aitbc", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except click.Abort as abort:
        # Click turns Ctrl-C and the end of input at a question into the same exception.
        return EXIT_INTERRUPTED if isinstance(abort.__cause__, KeyboardInterrupt) else EXIT_ERROR
    except BrokenPipeError:
        # Whoever read our output has seen enough. What is still buffered must not fail at exit again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except Exception as error:
        return report(error, settings)
    return code if isinstance(code, int) else 0


def _never_fail_to_print() -> None:
    """A character that the terminal's encoding lacks becomes ``?`` instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
