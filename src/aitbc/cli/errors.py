"""Every error as the user meets it: an ``error:`` line, a ``hint:`` line where there is a remedy, an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aitbc.exceptions import (
    AITBCError,
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    JobTimeoutError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)

if TYPE_CHECKING:
    from aitbc.cli.settings import Settings

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_NOT_ALLOWED = 3
EXIT_RATE_LIMITED = 4
EXIT_NOT_FOUND = 5
EXIT_INTERRUPTED = 130

_SERVER_ERRORS = 500

# The import names of what the extra `server` installs.
_SERVER_MODULES = frozenset(
    [
        "aitbc_server",
        "aiosqlite",
        "alembic",
        "asyncpg",
        "cryptography",
        "granian",
        "greenlet",
        "litestar",
        "prometheus_client",
        "sqlalchemy",
        "structlog",
        "uvloop",
    ]
)


class CommandError(Exception):
    """A command cannot go on; ``hint`` says what to do about it."""

    def __init__(self, message: str, *, hint: str | None = None, exit_code: int = EXIT_ERROR) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


def missing_server(error: ModuleNotFoundError) -> CommandError | None:
    """The error to show if a part of the server is not installed; None if something else is missing."""
    if (error.name or "").partition(".")[0] not in _SERVER_MODULES:
        return None
    return CommandError("this command needs the server, which is not installed", hint="pip install 'aitbc[server]'")


def report(error: Exception, settings: Settings) -> int:
    """Print ``error`` on standard error and return the exit code for it. What we do not know is raised again."""
    if isinstance(error, ModuleNotFoundError):
        error = missing_server(error) or error
    if isinstance(error, click.UsageError):
        return _report_usage(error, settings)
    if isinstance(error, click.ClickException):
        say_error(settings, error.format_message())
        return error.exit_code
    if isinstance(error, CommandError):
        say_error(settings, str(error), error.hint)
        return error.exit_code
    if isinstance(error, AITBCError):
        return _report_api_error(error, settings)
    raise error


def say_error(settings: Settings, message: str, hint: str | None = None) -> None:
    """``error: message`` and ``hint: hint`` on standard error."""
    _say(settings, "error", "red", message)
    if hint:
        say_hint(settings, hint)


def say_warning(settings: Settings, message: str) -> None:
    """``warning: ...`` on standard error."""
    _say(settings, "warning", "yellow", message)


def say_hint(settings: Settings, hint: str) -> None:
    """``hint: ...`` on standard error."""
    _say(settings, "hint", "cyan", hint)


def _say(settings: Settings, label: str, color: str, text: str) -> None:
    from aitbc.cli.output import clean

    if settings.color:
        label = click.style(label, fg=color, bold=True)
    click.echo(f"{label}: {clean(text)}", err=True)


def _report_usage(error: click.UsageError, settings: Settings) -> int:
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    hint = f"`{error.ctx.command_path} --help` shows how it is used" if error.ctx else None
    say_error(settings, message, hint)
    return EXIT_USAGE


def _report_api_error(error: AITBCError, settings: Settings) -> int:
    message, hint = str(error), None
    if isinstance(error, APIStatusError):
        from aitbc.cli.remedies import remedy

        hint = remedy(error, settings)
        if error.code == "missing_api_key" and error.status is None:
            message = "there is no API key" if settings.api_key is None else "the option --api-key is empty"
        message += "".join(f"\n  {problem.field}: {problem.message}" for problem in error.errors)
        if error.status is not None and error.status >= _SERVER_ERRORS and error.request_id:
            message += f" (request id {error.request_id})"
    elif isinstance(error, JobTimeoutError):
        hint = "the job goes on; `aitbc jobs wait JOB_ID` waits for it again"
    elif isinstance(error, APIConnectionError):
        message = f"no answer from {settings.url} ({error.__cause__ or error})"
        hint = "is the server running? `aitbc dev` starts one here; for another one set AITBC_BASE_URL or --base-url"
    say_error(settings, message, hint)
    return _exit_code(error)


def _exit_code(error: AITBCError) -> int:
    if isinstance(error, (AuthenticationError, PermissionDeniedError)):
        return EXIT_NOT_ALLOWED
    if isinstance(error, RateLimitError):
        return EXIT_RATE_LIMITED
    if isinstance(error, NotFoundError):
        return EXIT_NOT_FOUND
    return EXIT_ERROR
