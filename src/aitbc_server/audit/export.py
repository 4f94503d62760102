"""The audit log as files: CSV for spreadsheets, JSON for programs. Written while they are sent, portion by portion."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from aitbc.schemas.audit import AuditEvent
from aitbc_server.audit.words import deed
from aitbc_server.clock import from_ms, to_ms
from aitbc_server.wire import encode

Portions = AsyncIterator[Sequence[AuditEvent]]

COLUMNS = (
    "time",
    "id",
    "actor_type",
    "actor_id",
    "actor_name",
    "action",
    "summary",
    "target_type",
    "target_id",
    "client_ip",
    "request_id",
    "before",
    "after",
)

# With one of these in front a spreadsheet takes a text for a formula, and runs it: names are chosen by others. The
# last four are the wide forms, which some programs read as the narrow ones. (ASVS 1.2.10)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")


async def as_csv(portions: Portions) -> AsyncIterator[bytes]:
    """RFC 4180: a header, every field in quotation marks, CRLF; UTF-8 without a byte order mark."""
    yield _lines([COLUMNS])
    async for events in portions:
        yield _lines(_fields(event) for event in events)


async def as_json(portions: Portions) -> AsyncIterator[bytes]:
    """One array of the API's audit events, one a line. A file that was cut short is no JSON, and so is found out."""
    opening = b"["
    async for events in portions:
        yield opening + b"\n" + b",\n".join(encode(event) for event in events)
        opening = b","
    yield b"[]\n" if opening == b"[" else b"\n]\n"


def harmless(text: str) -> str:
    """``text`` such that no spreadsheet takes it for a formula: with an apostrophe in front where it might be one."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def _fields(event: AuditEvent) -> list[str]:
    actor, target = event.actor, event.target
    # The quotation marks of print are read as others where a spreadsheet guesses another encoding.
    summary = deed(event).replace("“", '"').replace("”", '"')
    return [
        from_ms(to_ms(event.time)).text(),
        event.id,
        actor.type,
        actor.id or "",
        actor.name or "",
        event.action,
        summary,
        target.type,
        target.id,
        event.client_ip or "",
        event.request_id or "",
        "" if event.before is None else msgspec.json.encode(event.before).decode(),
        "" if event.after is None else msgspec.json.encode(event.after).decode(),
    ]


def _lines(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerows([harmless(field) for field in row] for row in rows)
    return text.getvalue().encode()
