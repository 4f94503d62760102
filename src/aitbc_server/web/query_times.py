"""Times in a query string, such as ``?from=2026-11-24T05:46:56Z``."""

from __future__ import annotations

from datetime import datetime

import msgspec

from aitbc_server.clock import Timestamp, from_ms, to_ms
from aitbc_server.errors import invalid

#: For the OpenAPI description of such a parameter.
TIME_SCHEMA = {"format": "date-time"}

_END_MS = to_ms(datetime.fromisoformat("9999-01-01T00:00:00Z"))


def parse_time(field: str, text: str | None) -> Timestamp | None:
    """The time, cut to milliseconds; None where none is given.

    Raises ``validation_error`` for what is not RFC 3339 with a time zone, or lies outside the years 1970 to 9998.
    """
    if text is None:
        return None
    try:
        # A plus sign that was not encoded arrives as a space; there is no other reading of it.
        milliseconds = to_ms(msgspec.convert(text.replace(" ", "+"), datetime))
    except (ValueError, msgspec.ValidationError):
        raise invalid(field, "expected RFC 3339 with a time zone, such as 2026-11-24T05:46:56Z") from None
    if not 0 <= milliseconds < _END_MS:
        raise invalid(field, "expected a time from the year 1970 to the year 9998")
    return from_ms(milliseconds)
