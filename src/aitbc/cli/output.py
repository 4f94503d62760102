"""Printing: data on standard output, as tables or as the API's JSON; words on standard error."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import click

from aitbc.cli.settings import Settings
from aitbc.cli.times import rfc3339

# Control characters, and those that turn the direction of text: a key's name must not steer a terminal.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# What may stand in a text, but not in a name: line breaks, and bytes of a file's name that are no text.
_BREAKS = re.compile("[\t\n\u2028\u2029\ud800-\udfff]")
_UNESCAPED_BY_JSON = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PIPE_WIDTH = 10_000


class Styled(NamedTuple):
    """A cell with a colour that adds to its words, never replaces them."""

    text: str
    style: str


Cell = str | Styled


def clean(text: str) -> str:
    """``text`` without characters that steer a terminal: they are shown as ``\\x1b`` and the like."""
    return _UNPRINTABLE.sub(_escaped, text)


def clean_line(text: str) -> str:
    """``text`` as a part of one line: line breaks, tabs and stray bytes are shown as ``\\n`` and the like, too."""
    return _BREAKS.sub(_escaped, clean(text))


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def counted(number: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def note(message: str) -> None:
    """A line for the person, on standard error."""
    click.echo(clean(message), err=True)


def print_json(value: Any) -> None:
    """The object or list as the API writes it, indented."""
    import msgspec

    # The hook sees the server's own kind of datetime, which operators' commands print.
    plain = msgspec.to_builtins(value, builtin_types=(datetime,), enc_hook=_json_default)
    click.echo(as_json(plain))


def as_json(plain: Any) -> str:
    """Indented JSON for standard output: as it is where that can show it, but for what steers a terminal."""
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    text = json.dumps(plain, indent=2, default=_json_default, ensure_ascii=encoding != "utf8")
    return _UNESCAPED_BY_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _json_default(value: object) -> str:
    if isinstance(value, datetime):
        return rfc3339(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def print_table(
    settings: Settings, columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, wrap: Container[str]
) -> None:
    """A table. On a terminal it fits the width by wrapping the columns ``wrap``; in a pipe nothing is wrapped."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        wraps = column in wrap
        table.add_column(column, no_wrap=not wraps, overflow="fold" if wraps else "ellipsis")
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    _print(settings, table)


def print_details(settings: Settings, rows: Iterable[tuple[str, Cell]]) -> None:
    """One object: a label and a value on each line."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, cell in rows:
        table.add_row(label, _text(cell))
    _print(settings, table)


def _text(cell: Cell) -> Any:
    from rich.text import Text

    if isinstance(cell, Styled):
        return Text(clean(cell.text), style=cell.style)
    return Text(clean(cell))


def _print(settings: Settings, renderable: Any) -> None:
    from rich.console import Console

    terminal = sys.stdout.isatty()
    color = terminal and settings.color
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=shutil.get_terminal_size().columns if terminal else _PIPE_WIDTH,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        legacy_windows=False,
    )
    console.print(renderable)
    for line in buffer.getvalue().splitlines():
        click.echo(line.rstrip(), color=color)
