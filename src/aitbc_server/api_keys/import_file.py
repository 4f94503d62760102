"""The file of keys to import: a JSON object on each line. No message here shows a character of a key."""

from __future__ import annotations

import json

import msgspec

from aitbc.schemas.api_keys import CreateApiKey
from aitbc.schemas.common import Name, TenantId
from aitbc.schemas.scopes import Environment, Preset
from aitbc_server.api_keys.credentials.source import MIN_FOREIGN_LENGTH
from aitbc_server.tenants.service import SLUG
from aitbc_server.validation import BODY, field_error

# A name that is no shorter may be a key that somebody put there.
_LONGEST_SHOWN = MIN_FOREIGN_LENGTH - 1


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    tenant: TenantId
    environment: Environment
    preset: Preset
    name: Name | None = None


class ImportedLine(msgspec.Struct, frozen=True):
    """A line that was read: the key's text, whose it becomes, and what it may do."""

    number: int
    key: str
    tenant: str
    wanted: CreateApiKey

    def __repr__(self) -> str:
        return f"ImportedLine(number={self.number}, tenant={self.tenant!r})"


def parse_lines(data: bytes) -> tuple[list[ImportedLine], dict[int, str]]:
    """The lines of a file that can be read, and what is wrong with the others, by the number of the line."""
    lines: list[ImportedLine] = []
    problems: dict[int, str] = {}
    first: dict[str, int] = {}
    for number, raw in enumerate(data.split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            # Decoded first: msgspec's own message would quote a broken line.
            line = msgspec.convert(json.loads(raw), _Line)
        except msgspec.ValidationError as error:
            problems[number] = _words(error)
        except (ValueError, RecursionError):
            problems[number] = "this is no JSON object"
        else:
            if first.setdefault(line.key, number) != number:
                problems[number] = f"key: it stands on line {first[line.key]} already"
                continue
            wanted = CreateApiKey(
                name=line.name or f"imported {line.preset}", environment=line.environment, preset=line.preset
            )
            lines.append(ImportedLine(number, line.key, line.tenant, wanted))
    return lines, problems


def _words(error: msgspec.ValidationError) -> str:
    """What is wrong with a line, as the API says it."""
    wrong = field_error(str(error), _Line)
    if wrong.field == BODY:
        return "this is no JSON object"
    if wrong.field not in _Line.__struct_fields__:
        name = wrong.field if len(wrong.field) <= _LONGEST_SHOWN else "a field"
        return f"{name}: {wrong.message}"
    if wrong.field == "tenant" and "pattern" in wrong.message:
        return f"tenant: {SLUG}"
    return f"{wrong.field}: {wrong.message}"
