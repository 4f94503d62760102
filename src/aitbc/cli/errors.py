"""The error that a command raises where it cannot go on, and the exit codes. ``reporting`` prints it."""

from __future__ import annotations

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_NOT_ALLOWED = 3
EXIT_RATE_LIMITED = 4
EXIT_NOT_FOUND = 5
EXIT_INTERRUPTED = 130

# The import names of what the extra `server` installs.
_SERVER_MODULES = frozenset(
    [
        "aitbc_server",
        "aiosmtplib",
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
