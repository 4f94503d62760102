r"""The text format of an AITBC API key: build it, parse it, find it in other text. Standard library only.

    aitbc_live_<kid: 12>_<secret: 43><checksum: 6>        base62, 73 characters in all

The kid is public; the secret is 256 bits of the system's random source. The checksum is the CRC32 of all
that stands before it: it catches typos and tells a scanner a key from a look-alike, offline. It is no
security control.
"""

from __future__ import annotations

import re
import secrets
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX = "aitbc_"
KID_LENGTH = 12
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
KEY_LENGTH = 73

KEY_PATTERN = r"\baitbc_(?:live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\b"

# re.ASCII keeps \b from treating an accented letter next to a key as part of it.
_FIND = re.compile(KEY_PATTERN, re.ASCII)
_PARSE = re.compile(r"aitbc_(live|test)_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", re.ASCII)

RandomText = Callable[[int], str]


class KeyParts(NamedTuple):
    """What a well-formed key says of itself. Nothing here proves that the key exists."""

    environment: str
    kid: str
    secret: str


def random_base62(length: int) -> str:
    """``length`` base62 characters from the system's random source (5.95 bits each)."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def checksum(text: str) -> str:
    """The CRC32 of ASCII ``text`` as 6 base62 digits, zero padded."""
    value = zlib.crc32(text.encode("ascii"))
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, 62)
        digits = ALPHABET[digit] + digits
    return digits


def build(environment: str, kid: str, secret: str) -> str:
    """The whole key for its parts. Raises ValueError where a part is not of the format."""
    body = f"{PREFIX}{environment}_{kid}_{secret}"
    key = body + checksum(body)
    if not _PARSE.fullmatch(key):
        raise ValueError("not the parts of an API key")
    return key


def generate(environment: str, *, random_text: RandomText = random_base62) -> KeyParts:
    """Fresh parts for a new key in ``environment`` ("live" or "test")."""
    return KeyParts(environment, random_text(KID_LENGTH), random_text(SECRET_LENGTH))


def parse(text: str) -> KeyParts | None:
    """The parts of ``text`` if it is, as a whole, a key with a right checksum; else None."""
    match = _PARSE.fullmatch(text)
    if match is None or checksum(text[:-CHECKSUM_LENGTH]) != match[4]:
        return None
    return KeyParts(match[1], match[2], match[3])


def has_prefix(text: str) -> bool:
    """Whether ``text`` claims to be one of our keys. If it does and does not parse, it is refused at once."""
    return text.startswith(PREFIX)


def scan(text: str) -> Iterator[tuple[int, int]]:
    """The (start, end) of every key in ``text`` whose checksum is right, in order."""
    for match in _FIND.finditer(text):
        if parse(match[0]) is not None:
            yield match.span()


def mask(environment: str, kid: str, last4: str) -> str:
    """The form that may be shown: ``aitbc_live_<kid>_…<last 4>``; ``last4`` is empty for foreign keys."""
    return f"{PREFIX}{environment}_{kid}_…{last4}"


def redact(text: str) -> str:
    """``text`` with each key in it in its masked form."""
    for start, end in reversed(list(scan(text))):
        parts = parse(text[start:end])
        assert parts is not None
        text = text[:start] + mask(parts.environment, parts.kid, text[end - 4 : end]) + text[end:]
    return text
