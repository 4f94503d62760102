"""The file of keys to import: a JSON object on each line. No message here shows a character of a key."""

from __future__ import annotations

import json
import re

import msgspec

from aitbc.schemas.api_keys import CreateApiKey
from aitbc.schemas.common import Name, TenantId
from aitbc.schemas.scopes import Environment, Preset

_QUOTED = re.compile(r" '.*'")


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


def parse_lines(data: bytes) -> tuple[list[ImportedLine], list[str]]:
    """The lines of a file, and what is wrong with it, a text for each line that cannot be imported."""
    lines: list[ImportedLine] = []
    problems: list[str] = []
    for number, raw in enumerate(data.split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            # Decoded first: msgspec's own message would quote a broken line.
            line = msgspec.convert(json.loads(raw), _Line)
        except msgspec.ValidationError as error:
            # A key in the wrong field must not be quoted.
            problems.append(f"line {number}: {_QUOTED.sub('', str(error))}")
        except (ValueError, RecursionError):
            problems.append(f"line {number}: this is no JSON object")
        else:
            wanted = CreateApiKey(
                name=line.name or f"imported {line.preset}", environment=line.environment, preset=line.preset
            )
            lines.append(ImportedLine(number, line.key, line.tenant, wanted))
    return lines, problems
