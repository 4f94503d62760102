"""The file of an export: JSON lines.

    {"format": "aitbc-export", "version": 1, "schema": "0007", "exported_at": "...", "rows": {"plans": 3, ...}}
    {"table": "plans", "columns": ["id", "name", "limit_per_minute"]}
    ["free", "Free", 60]
    ...
    {"rows": 1234, "sha256": "...", "key_version": "...", "mac": "..."}

The last line has the digest of all bytes before it, and proves by the installation's secret key that nobody changed
them: what a file says of operators and plans is believed. It is read first, so that no line of a file that was changed
is ever taken for a row.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable
from typing import IO, TypeVar

import msgspec

from aitbc_server.secret_keys import SecretKeys

FORMAT = "aitbc-export"
VERSION = 1
_PURPOSE = "export-v1"

# The last line has some 250 bytes.
_END_BYTES = 4096
_CHUNK_BYTES = 1 << 20

#: What is raised for a line that is no JSON, is nested too deep, or has other things in it.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_Line = TypeVar("_Line", bound=msgspec.Struct)


class Header(msgspec.Struct, frozen=True):
    """The first line. ``rows``: how many of each table follow."""

    format: str
    version: int
    schema: str
    exported_at: str
    rows: dict[str, int]


class Section(msgspec.Struct, frozen=True):
    """Rows of this table follow, an array each."""

    table: str
    columns: tuple[str, ...]


class End(msgspec.Struct, frozen=True):
    """The last line."""

    rows: int
    sha256: str
    key_version: str
    mac: str


class FileError(ValueError):
    """The file cannot be imported; the text says why."""


class Writer:
    """Writes lines, and ends them with what proves them whole."""

    def __init__(self, file: IO[bytes], secret_keys: SecretKeys) -> None:
        self._file = file
        self._secret_keys = secret_keys
        self._digest = hashlib.sha256()

    def write(self, lines: Iterable[bytes]) -> None:
        """Write some lines."""
        text = b"".join(b"%b\n" % line for line in lines)
        self._digest.update(text)
        self._file.write(text)

    def end(self, rows: int) -> End:
        """Write the last line."""
        version = self._secret_keys.newest
        end = End(rows, self._digest.hexdigest(), version, _mac(self._secret_keys, version, self._digest.digest()))
        self._file.write(msgspec.json.encode(end) + b"\n")
        return end


class Reader:
    """Reads the lines of a file that is whole, which is known before the first of them. Every problem is a FileError.

    ``file`` can be read twice (it is seekable). Memory does not grow with it.
    """

    def __init__(self, file: IO[bytes], secret_keys: SecretKeys) -> None:
        begin = file.tell()
        self._file = file
        self._secret_keys = secret_keys
        self._digest = hashlib.sha256()
        #: Of the line at hand, from 1.
        self.number = 0
        # First of all: of any other file it is said what it is.
        self.header = self._header()
        rows = file.tell()
        _ensure_whole(file, begin, secret_keys)
        file.seek(rows)

    def line(self) -> bytes:
        """The next line."""
        self.number += 1
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise FileError(f"the file ends in the middle, at line {self.number}; export it again")
        self._digest.update(line)
        return line

    def section(self) -> Section:
        """The line at which a table begins."""
        return self._decoded(self.line(), Section)

    def end(self, rows: int) -> None:
        """The last line: nothing is missing, and nothing was changed. ``rows``: how many were read."""
        digest = self._digest.digest()
        end = self._decoded(self.line(), End)
        # Again: somebody may have written into it meanwhile.
        _ensure_proved(end, digest, self._secret_keys)
        if end.rows != rows or self._file.read(1):
            raise FileError("the file's last line does not say how many rows there are")

    def _header(self) -> Header:
        header = self._decoded(self.line(), Header)
        if header.format != FORMAT:
            raise FileError("this is no file of `aitbc admin export`")
        if header.version != VERSION:
            raise FileError(f"the file's format is of version {header.version}; this release reads {VERSION}")
        return header

    def _decoded(self, line: bytes, kind: type[_Line]) -> _Line:
        try:
            return msgspec.json.decode(line, type=kind)
        except UNREADABLE as error:
            what = "this is no file of `aitbc admin export`" if self.number == 1 else "the file was damaged on its way"
            raise FileError(f"{what} (line {self.number}: {error})") from error


def header_line(schema: str, exported_at: str, rows: dict[str, int]) -> bytes:
    """The first line."""
    return msgspec.json.encode(Header(FORMAT, VERSION, schema, exported_at, rows))


def _ensure_whole(file: IO[bytes], begin: int, secret_keys: SecretKeys) -> None:
    """Nothing is missing from ``begin`` on, and nothing was changed."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(begin, size - _END_BYTES))
    last = file.read().splitlines(keepends=True)[-1]
    if not last.endswith(b"\n"):
        raise FileError("the file ends in the middle; export it again")
    try:
        end = msgspec.json.decode(last, type=End)
    except UNREADABLE as error:
        raise FileError("the file ends in the middle, or there is something behind its end; export it again") from error
    file.seek(begin)
    left = size - len(last) - begin
    digest = hashlib.sha256()
    while chunk := file.read(min(left, _CHUNK_BYTES)):
        digest.update(chunk)
        left -= len(chunk)
    _ensure_proved(end, digest.digest(), secret_keys)


def _ensure_proved(end: End, digest: bytes, secret_keys: SecretKeys) -> None:
    if end.sha256 != digest.hex():
        raise FileError("the file was changed or damaged on its way: its digest is not what its last line says")
    if end.key_version not in secret_keys.versions:
        raise FileError(
            "the file was made under another secret key: bring the secret key of the old installation along"
            " (AITBC_SECRET_KEY_FILE)"
        )
    # As bytes: text is compared only where it is ASCII.
    if not hmac.compare_digest(end.mac.encode(), _mac(secret_keys, end.key_version, digest).encode()):
        raise FileError("the file was changed after it was made")


def _mac(secret_keys: SecretKeys, version: str, digest: bytes) -> str:
    key = secret_keys.derive(_PURPOSE, version)
    assert key is not None
    return hmac.digest(key, digest, "sha256").hex()
