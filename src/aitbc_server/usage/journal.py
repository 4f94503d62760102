"""The usage journal: counts that changed, appended to a file several times a second, so that a kill loses few.

The database gets each minute once; upserting thousands of rows several times a second would eat a core. The journal
bridges the time between, at a few bytes a count. It survives the end of the process, however sudden; it is not
synced, so a power cut may take what the system had not written out yet (some seconds).

The file is a row of frames: length and CRC32 of the body (little endian, 32 bits each), then the body in msgpack:
``[source, minute in µs, [new keys], [tally numbers], [their counts]]``. Tallies are numbered in the order in which they
first appear; a new one is named by its key, which may have several, each with a part of the key's count. Counts are
cumulative, so that reading one twice counts nothing twice.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from aitbc_server.gate.counter import CountKey, Ledger, Tally

logger = logging.getLogger(__name__)

_HEADER = struct.Struct("<II")
_Body = tuple[str, int, list[CountKey], list[int], list[int]]
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
        self._numbers: dict[Tally, int] = {}

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
        """Write down every count that changed, in one write. Raises OSError; then the file ``needs_rewrite``."""
        assert self._file is not None
        data = b"".join(self._frame(ledger, changed) for ledger in ledgers if (changed := ledger.take_changed()))
        if not data:
            return
        try:
            _write(self._file, data)
        except OSError:
            # Half a frame may be in the file now: whatever followed it could not be read.
            self._close_file()
            raise
        self._size += len(data)

    def rewrite(self, ledgers: Iterable[Ledger]) -> None:
        """Begin the file anew with just these ledgers, in place of the old one or not at all. Raises OSError."""
        # The numbers are those of the new file from here on: nothing may be appended to the old one, whatever happens.
        self._close_file()
        self._numbers = {}
        data = b"".join(map(self._whole_frame, ledgers))
        fresh_path = self._path.with_suffix(".new")
        fresh = os.open(fresh_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            _write(fresh, data)
            fresh_path.replace(self._path)
        except OSError:
            os.close(fresh)
            raise
        self._file, self._size = fresh, len(data)
        self._compact_at = max(MIN_COMPACT_BYTES, 2 * len(data))

    def close(self) -> None:
        """Let go of the file and the lock."""
        self._close_file()
        os.close(self._lock)

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _whole_frame(self, ledger: Ledger) -> bytes:
        # First, so that what is counted meanwhile is written down once more, and not left out.
        ledger.take_changed()
        return self._frame(ledger, list(ledger.tallies))

    def _frame(self, ledger: Ledger, tallies: Collection[Tally]) -> bytes:
        numbers = self._numbers
        new_keys: list[CountKey] = []
        for tally in set(tallies).difference(numbers):
            numbers[tally] = len(numbers)
            new_keys.append(tally.key)
        numbered = [list(map(each.__getitem__, tallies)) for each in (numbers, ledger.tallies)]
        body = msgspec.msgpack.encode((ledger.source, ledger.minute_us, new_keys, *numbered))
        return _HEADER.pack(len(body), zlib.crc32(body)) + body


def _write(file: int, data: bytes) -> None:
    written = os.write(file, data)
    if written != len(data):
        raise OSError(f"the usage journal took {written} of {len(data)} bytes: is the disk full?")


def _read(data: bytes, path: Path) -> list[Journalled]:
    ledgers: dict[tuple[str, int], dict[int, int]] = {}
    keys: list[CountKey] = []
    position = 0
    while (frame := _body(data, position)) is not None:
        (source, minute_us, new_keys, numbers, counts), position = frame
        keys += new_keys
        tallies = ledgers.setdefault((source, minute_us), {})
        for number, count in zip(numbers, counts, strict=True):
            tallies[number] = max(count, tallies.get(number, 0))
    if position != len(data):
        logger.warning("%s: the last %d bytes are torn; counts in them are lost", path, len(data) - position)
    return [Journalled(*ledger, _by_key(tallies, keys)) for ledger, tallies in ledgers.items()]


def _by_key(tallies: Mapping[int, int], keys: Sequence[CountKey]) -> Mapping[CountKey, int]:
    counts: Counter[CountKey] = Counter()
    for number, count in tallies.items():
        counts[keys[number]] += count
    return counts


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
