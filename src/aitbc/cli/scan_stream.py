"""Keys in a stream of bytes, whatever it is: text, a binary, something larger than memory."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from aitbc import keyformat

CHUNK_BYTES = 1 << 20

# A key, and the character before and after it, which decide whether it stands alone.
_OVERLAP = keyformat.KEY_LENGTH + 1


class Finding(NamedTuple):
    """Where a key stands: ``line`` and ``column`` count from 1, the column in bytes (UTF-16: characters)."""

    line: int
    column: int
    key_id: str
    environment: str
    masked: str


def find_keys(stream: BinaryIO, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Finding]:
    """Every key in ``stream``, in order. Raises OSError where it cannot be read."""
    text, fresh = "", 0
    position = _Position()
    for chunk, final in _decoded(stream, chunk_bytes):
        text += chunk
        # A match that ends where the text so far ends may go on: it is looked at with the next chunk.
        end = len(text) if final else len(text) - 1
        for start, stop in keyformat.scan(text):
            if start >= fresh and stop <= end:
                yield _finding(text[start:stop], position.at(text, start))
        if len(text) >= _OVERLAP:
            cut = len(text) - _OVERLAP
            position = position.at(text, cut)
            # All that starts later than the first character of what is kept has not been reported yet.
            text, fresh = text[cut:], 1


class _Position(NamedTuple):
    line: int = 1
    column: int = 1

    def at(self, text: str, index: int) -> _Position:
        """The position of ``text[index]``, where self is that of ``text[0]``."""
        newlines = text.count("\n", 0, index)
        if not newlines:
            return _Position(self.line, self.column + index)
        return _Position(self.line + newlines, index - text.rindex("\n", 0, index))


def _finding(key: str, position: _Position) -> Finding:
    parts = keyformat.parse(key)
    assert parts is not None  # keyformat.scan yields what parses.
    masked = keyformat.mask(parts.environment, parts.kid, key[-4:])
    return Finding(position.line, position.column, f"key_{parts.kid}", parts.environment, masked)


def _decoded(stream: BinaryIO, chunk_bytes: int) -> Iterator[tuple[str, bool]]:
    """Chunks of text, and whether each is the last. Latin-1 gives every byte a character of its own."""
    data = stream.read(chunk_bytes)
    # Windows' shells write UTF-16, in which no pattern of ASCII bytes is found.
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "latin-1"
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    while data:
        following = stream.read(chunk_bytes)
        yield decoder.decode(data, final=not following), not following
        data = following
