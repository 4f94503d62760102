"""Every error as the user meets it: an ``error:`` line, a ``hint:`` line where there is a remedy, an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aitbc.cli.errors import (
    EXIT_ERROR,
    EXIT_NOT_ALLOWED,
    EXIT_NOT_FOUND,
    EXIT_RATE_LIMITED,
    EXIT_USAGE,
    CommandError,
    missing_server,
)
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

_SERVER_ERRORS = 500
# The server's sentence where an id is nobody's, or another tenant's.
_NO_OBJECT = "There is no such object."


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
            elsewhere = settings.signed_in_elsewhere
            if elsewhere is not None and settings.api_key is None:
                message += f" for {settings.url}: the profile {settings.profile_name} has one for {elsewhere}"
        if message == _NO_OBJECT:
            # The command says which one; the server's other sentences say more than that.
            message = next(iter(getattr(error, "__notes__", ())), message)
        problems = [f"{problem.field}: {problem.message}" for problem in error.errors]
        # One problem is the server's whole sentence already.
        message += "".join(f"\n  {problem}" for problem in problems if problem != message)
        if error.status is not None and error.status >= _SERVER_ERRORS and error.request_id:
            message += f" (request id {error.request_id})"
    elif isinstance(error, JobTimeoutError):
        job_id = error.job.job_id if error.job is not None else "JOB_ID"
        hint = f"the job goes on; `aitbc jobs wait {job_id}` waits for it again"
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
