"""``dev.env``: the keys and the address of the development server, for a shell to load. No other place has the keys."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path


def read(path: Path) -> dict[str, str]:
    """The values in the file; empty where there is none, and without lines that are not ours."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return {}
    values = {}
    for line in text.splitlines():
        name, _, quoted = line.partition("=")
        try:
            words = shlex.split(quoted)
        except ValueError:
            continue
        if len(words) == 1:
            values[name] = words[0]
    return values


def write(path: Path, values: Mapping[str, str]) -> None:
    """Replace the file, for its owner's eyes only, as a whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()))
    fresh.replace(path)
