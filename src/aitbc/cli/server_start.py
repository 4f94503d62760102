"""What the commands that run or administer a server share: its settings, and its faults as one clear line each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from aitbc.cli.errors import EXIT_ERROR, EXIT_NOT_FOUND, EXIT_USAGE, CommandError
from aitbc.cli.reporting import say_error, say_hint, say_warning
from aitbc.cli.settings import Settings

if TYPE_CHECKING:
    from aitbc_server.settings import Settings as ServerSettings

# By the error code that the API would answer with.
_EXIT_CODES = {"validation_error": EXIT_USAGE, "not_found": EXIT_NOT_FOUND}


def server_settings(settings: Settings) -> ServerSettings:
    """The server's settings from ``AITBC_*`` variables. Every wrong one is named, then the command ends with 2."""
    from aitbc_server.settings import Settings as ServerSettings
    from aitbc_server.settings import unknown

    for line in unknown(os.environ):
        say_warning(settings, line)
    with clear_faults(settings):
        return ServerSettings.from_env(os.environ)


def keep_files_private() -> None:
    """Whatever this process writes is for its user alone, also in a folder that others may enter."""
    os.umask(0o077)


@contextmanager
def clear_faults(settings: Settings) -> Iterator[None]:
    """Faults of the start and refusals of the services, as errors of the command line."""
    from aitbc_server.errors import DomainError
    from aitbc_server.serving.errors import StartError
    from aitbc_server.settings import SettingError

    try:
        yield
    except SettingError as error:
        for problem in error.problems:
            say_error(settings, problem)
        if error.hint:
            say_hint(settings, error.hint)
        raise click.exceptions.Exit(EXIT_USAGE) from error
    except StartError as error:
        raise CommandError(str(error), hint=error.hint) from error
    except DomainError as error:
        raise CommandError(error.detail, exit_code=_EXIT_CODES.get(error.code, EXIT_ERROR)) from error
