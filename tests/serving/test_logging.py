"""Logs: no secret, no forged line, UTC, JSON for machines and short lines for people."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from aitbc import keyformat
from aitbc_server.logging import READY_LOGGER, configure

KEY = keyformat.build("live", "0123456789ab", "S" * 43)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Logging as it was: pytest's own handlers listen to the root too."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def log(level: str = "info", *, terminal: bool = False) -> io.StringIO:
    """A configured log that ends up in memory."""
    stream = io.StringIO()
    configure(level, stream=stream, terminal=terminal)
    return stream


def test_a_line_says_when_what_and_for_which_request() -> None:
    """ASVS 16.2.1, 16.2.2: time in UTC, level, logger, message, request id."""
    stream = log()
    logging.getLogger("aitbc_server.x").warning("slow: %d ms", 5, extra={"request_id": "req_1"})
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {"level": "warning", "logger": "aitbc_server.x", "message": "slow: 5 ms", "request_id": "req_1"}


@pytest.mark.parametrize("terminal", [True, False])
def test_no_key_is_ever_logged(terminal: bool) -> None:
    """ASVS 16.2.5: whole keys are masked in messages, arguments, fields and tracebacks."""
    stream = log(terminal=terminal)
    logger = logging.getLogger("aitbc_server.x")
    logger.error("key %s", KEY, extra={"header": f"X-API-Key: {KEY}", "thing": [KEY]})
    try:
        int(f"bad {KEY}")
    except ValueError:
        logger.exception("oops")
    text = stream.getvalue()
    assert KEY not in text
    assert "S" * 43 not in text
    assert text.count("aitbc_live_0123456789ab_") == 4


@pytest.mark.parametrize("terminal", [True, False])
def test_nobody_forges_a_line_or_steers_a_terminal(terminal: bool) -> None:
    """ASVS 16.4.1: line breaks and control characters of others are written as escapes."""
    stream = log(terminal=terminal)
    logging.getLogger("aitbc_server.x").warning("name %s", "a\r\nb\x1b[2J\u202e\x9b", extra={"who": "x\ny"})
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert not any(character in text for character in "\r\x1b\u202e\x9b")


def test_a_traceback_is_one_json_line_and_below_its_line_on_a_terminal() -> None:
    """Machines read one line an event; people read a traceback as they know it."""
    for terminal, lines in ((False, 1), (True, 5)):
        stream = log(terminal=terminal)
        try:
            int("x")
        except ValueError:
            logging.getLogger("aitbc_server.x").exception("oops")
        assert len(stream.getvalue().splitlines()) == lines


def test_levels() -> None:
    """What was not asked for is not written, but the line that says that the server is ready."""
    stream = log("error")
    logging.getLogger("aitbc_server.x").warning("no")
    logging.getLogger("alembic.runtime").info("no")
    logging.getLogger(READY_LOGGER).info("ready")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["ready"]


def test_no_colour_where_there_is_no_terminal() -> None:
    """Lines for people in a pipe hold no escape sequences."""
    stream = log(terminal=True)
    logging.getLogger("aitbc_server.x").error("red?")
    assert stream.getvalue()[10:] == "error   red?\n"
