"""The usage journal: counts that changed, appended to a file several times a second, so that a kill loses few.

The database gets each minute once; upserting thousands of rows several times a second would eat a core. The journal
bridges the time between, at a few bytes a count. It survives the end of the process, however sudden; it is not
synced, so a power cut may take what the system had not written out yet (some seconds).

The file is a row of frames: length and CRC32 of the body (little endian, 32 bits each), then the body in msgpack:
``[source, minute in µs, [new keys], [key number, count, key number, count, ...]]``. Keys are numbered in the order in
which they first appear. Counts are cumulative, so that reading one twice counts nothing twice.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from aitbc_server.gate.counter import CountKey, Ledger

logger = logging.getLogger(__name__)

_HEADER = struct.Struct("<II")
_Body = tuple[str, int, list[CountKey], list[int]]
_decoder = msgspec.msgpack.Decoder(_Body)

# A file that outgrows this, while the database is away, is written anew with one number a count.
MIN_COMPACT_BYTES = 16 * 1024 * 1024


class Journalled(NamedTuple):
    """What a journal held of one source and minute."""

    source: str
    minute_us: int
    counts: Mapping[CountKey, int]


class JournalInUseError(Exception):
    """Another running server has this journal."""


class Journal:
    """Writes the journal. One process at a time: a lock beside the file ends with the process that holds it."""

    def __init__(self, path: Path) -> None:
        """Take the lock; what the file holds stays until ``rewrite``. Raises JournalInUseError, OSError."""
        self._path = path
        self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise JournalInUseError(f"{path}: another server is running on this data folder") from None
        self._file: int | None = None
        self._size = 0
        self._compact_at = MIN_COMPACT_BYTES
        self._numbers: dict[CountKey, int] = {}

    @property
    def needs_rewrite(self) -> bool:
        """Whether the file has grown too large, or a write to it failed half way."""
        return self._file is None or self._size > self._compact_at

    def read(self) -> list[Journalled]:
        """What the file holds. A torn or damaged frame ends it; what follows is not counted, and the log says so."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        return _read(data, self._path)

    def append(self, ledgers: Iterable[Ledger]) -> None:
        """Write down every count that changed, in one write. Raises OSError; the counts then still are ``changed``."""
        assert self._file is not None
        changed = [ledger for ledger in ledgers if ledger.changed]
        data = b"".join(self._frame(ledger, ledger.changed) for ledger in changed)
        if not data:
            return
        try:
            _write(self._file, data)
        except OSError:
            # Half a frame may be in the file now: whatever followed it could not be read.
            self._close_file()
            raise
        self._size += len(data)
        for ledger in changed:
            ledger.changed.clear()

    def rewrite(self, ledgers: Iterable[Ledger]) -> None:
        """Begin the file anew with just these ledgers, in place of the old one or not at all. Raises OSError."""
        held = list(ledgers)
        self._numbers = {}
        data = b"".join(self._frame(ledger, ledger.counts) for ledger in held)
        fresh_path = self._path.with_suffix(".new")
        fresh = os.open(fresh_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            _write(fresh, data)
            fresh_path.replace(self._path)
        except OSError:
            # The numbers are of the file that failed: nothing may be appended to the old one.
            os.close(fresh)
            self._close_file()
            raise
        self._close_file()
        self._file, self._size = fresh, len(data)
        self._compact_at = max(MIN_COMPACT_BYTES, 2 * len(data))
        for ledger in held:
            ledger.changed.clear()

    def close(self) -> None:
        """Let go of the file and the lock."""
        self._close_file()
        os.close(self._lock)

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _frame(self, ledger: Ledger, keys: Iterable[CountKey]) -> bytes:
        numbers, counts = self._numbers, ledger.counts
        new_keys: list[CountKey] = []
        numbered: list[int] = []
        for key in keys:
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(numbers)
                new_keys.append(key)
            numbered += (number, counts[key])
        body = msgspec.msgpack.encode((ledger.source, ledger.minute_us, new_keys, numbered))
        return _HEADER.pack(len(body), zlib.crc32(body)) + body


def _write(file: int, data: bytes) -> None:
    written = os.write(file, data)
    if written != len(data):
        raise OSError(f"the usage journal took {written} of {len(data)} bytes: is the disk full?")


def _read(data: bytes, path: Path) -> list[Journalled]:
    ledgers: dict[tuple[str, int], dict[CountKey, int]] = {}
    keys: list[CountKey] = []
    position = 0
    while (frame := _body(data, position)) is not None:
        (source, minute_us, new_keys, numbered), position = frame
        keys += new_keys
        counts = ledgers.setdefault((source, minute_us), {})
        for number, count in zip(numbered[::2], numbered[1::2], strict=True):
            counts[keys[number]] = max(count, counts.get(keys[number], 0))
    if position != len(data):
        logger.warning("%s: the last %d bytes are torn; counts in them are lost", path, len(data) - position)
    return [Journalled(source, minute_us, counts) for (source, minute_us), counts in ledgers.items()]


def _body(data: bytes, position: int) -> tuple[_Body, int] | None:
    """The frame at ``position`` and where the next one begins; None where there is no whole one."""
    start = position + _HEADER.size
    if start > len(data):
        return None
    length, crc = _HEADER.unpack_from(data, position)
    body = data[start : start + length]
    if len(body) != length or zlib.crc32(body) != crc:
        return None
    try:
        return _decoder.decode(body), start + length
    except msgspec.DecodeError:
        # Zeros, which a power cut may leave at a file's end, have a right checksum of nothing.
        return None
