"""The installation's secret keys, several versions with the newest first, and what is derived from them.

Every use (pepper, audit chain, cursors) has its own derived key (HMAC-SHA256 with a label, as in the expand
step of RFC 5869): a leak of one use says nothing of another. A version is named by a fingerprint of its key,
so that nobody can number versions wrongly. (ASVS 11.2.2, 13.3.4)
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

MIN_LENGTH = 32
#: So many characters has the name of a version.
VERSION_LENGTH = 8


class SecretKeyError(ValueError):
    """The secret keys are missing or not usable; the text says what to do."""


class SecretKeys:
    """The secret keys in force: new work uses the newest, old work is recognised by any."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """``keys``: newest first, each of 32 bytes or more. Raises SecretKeyError."""
        if not keys:
            raise SecretKeyError("no secret key is given")
        if any(len(key) < MIN_LENGTH for key in keys):
            raise SecretKeyError(f"a secret key needs {MIN_LENGTH} characters or more")
        self._keys = {_derive(key, "fingerprint").hex()[:VERSION_LENGTH]: key for key in keys}
        self.versions: tuple[str, ...] = tuple(self._keys)

    @property
    def newest(self) -> str:
        """The version that new work uses."""
        return self.versions[0]

    def derive(self, purpose: str, version: str) -> bytes | None:
        """The 32-byte key for ``purpose`` of a version; None where the version is not in force."""
        key = self._keys.get(version)
        return None if key is None else _derive(key, purpose)

    def derive_newest(self, purpose: str) -> bytes:
        """The 32-byte key for ``purpose`` of the newest version."""
        return _derive(self._keys[self.newest], purpose)

    @classmethod
    def parse(cls, text: str) -> SecretKeys:
        """Keys from text: one a line (or separated by commas or spaces), newest first; ``#`` starts a comment."""
        lines = [line.partition("#")[0] for line in text.splitlines()]
        return cls([word.encode() for line in lines for word in line.replace(",", " ").split()])

    @classmethod
    def load_or_create(cls, path: Path) -> SecretKeys:
        """The keys in ``path``; where there is no such file, one is made, readable by its owner alone (0600)."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls.parse(path.read_text(encoding="utf-8"))
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return cls.parse(path.read_text(encoding="utf-8"))


def _derive(key: bytes, purpose: str) -> bytes:
    return hmac.digest(key, b"aitbc\x00" + purpose.encode() + b"\x01", "sha256")
