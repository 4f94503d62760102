"""Logs: JSON lines for machines, short lines for terminals, on standard error, in UTC.

No key is ever logged: whatever looks like one is masked on its way out (ASVS 16.2.5). Control characters are written
as escapes, so that nobody forges a line or steers a terminal (ASVS 16.4.1).
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

from aitbc import keyformat

Event = MutableMapping[str, Any]

# Lines of these are always written: they are what the person who started the server waits for.
READY_LOGGER = "aitbc_server.ready"

# They tell every step of theirs at level info; what matters of it we say ourselves.
_TALKATIVE = ("alembic", "aiosqlite", "asyncio", "sqlalchemy", "httpx2", "httpcore2")

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def configure(level: str, *, stream: TextIO | None = None, terminal: bool | None = None, color: bool = True) -> None:
    """Send every logger's lines to ``stream`` (standard error): for people where it is a terminal, else as JSON."""
    stream = stream or sys.stderr
    if terminal is None:
        terminal = stream.isatty()
    for_people, in_color = terminal, color and stream.isatty()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_MadeWhenUsed(lambda: _formatter(for_people, in_color)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    logging.getLogger(READY_LOGGER).setLevel(logging.INFO)


def name_worker(number: int) -> None:
    """From now on every line of this process says which worker wrote it."""
    make = logging.getLogRecordFactory()

    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        record.worker = number
        return record

    logging.setLogRecordFactory(made)


class _MadeWhenUsed(logging.Formatter):
    """Makes the real formatter for the first line: a command that has nothing to log starts sooner by 0.2 s."""

    def __init__(self, make: Callable[[], logging.Formatter]) -> None:
        super().__init__()
        self._make = make
        self._made: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter``."""
        if self._made is None:
            self._made = self._make()
        return self._made.format(record)


def _formatter(terminal: bool, color: bool) -> logging.Formatter:
    import structlog

    before: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="%H:%M:%SZ" if terminal else "iso", utc=True, key="time"),
    ]
    if not terminal:
        before.insert(1, structlog.stdlib.add_logger_name)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            mask_secrets,
            *(_terminal_processors(color) if terminal else _json_processors()),
        ],
    )


def mask_secrets(_logger: Any, _method: str, event: Event) -> Event:
    """Replace every whole API key in the event by its masked form."""
    return {name: _masked(value) for name, value in event.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, (int, float, bool)) or value is None:
        return value
    return keyformat.redact(value if isinstance(value, str) else str(value))


def _json_processors() -> list[Any]:
    import structlog

    # ensure_ascii: what is not ASCII, control characters included, is written as an escape.
    return [
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(ensure_ascii=True),
    ]


def _terminal_processors(color: bool) -> list[Any]:
    return [_without_control_characters, _Line(color)]


def _without_control_characters(_logger: Any, _method: str, event: Event) -> Event:
    def clean(name: str, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        escaped = _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), value)
        # Only a traceback has lines of its own.
        return escaped if name == "exception" else escaped.replace("\n", "\\n")

    return {name: clean(name, value) for name, value in event.items()}


_STYLES = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m", "debug": "\x1b[2m"}


class _Line:
    """``06:36:05Z warning  message  name=value``."""

    def __init__(self, color: bool) -> None:
        self._color = color

    def __call__(self, _logger: Any, _method: str, event: Event) -> str:
        """The event as a line, a traceback below it."""
        time, level = str(event.pop("time", "")), str(event.pop("level", ""))
        message, exception = str(event.pop("event", "")), event.pop("exception", None)
        fields = "".join(f"  {name}={value}" for name, value in event.items())
        label = f"{_STYLES.get(level, '')}{level}\x1b[0m" if self._color and level in _STYLES else level
        line = f"{time} {label}{' ' * (8 - len(level))}{message}{fields}"
        return f"{line}\n{exception}" if exception else line
