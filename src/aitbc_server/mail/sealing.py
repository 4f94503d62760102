"""A mail's text in the database, encrypted: a copy of the database holds no live link.

AES-256-GCM under a key that is derived from the installation's secret key for this purpose alone; the version of the
secret key goes with it, so that a change of keys loses no mail. A text belongs to its row: moved to another mail or
recipient, it does not open. (ASVS 11.2.1, 11.2.2)
"""

from __future__ import annotations

import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from aitbc_server.mail.message import Message
from aitbc_server.secret_keys import SecretKeys

_PURPOSE = "mail-v1"
_VERSION_LENGTH = 8
_NONCE_LENGTH = 12


class SealError(Exception):
    """The text cannot be opened: its key is not in force any more, or it was tampered with."""


class Sealing:
    """Seals and opens texts of mails."""

    def __init__(self, secret_keys: SecretKeys) -> None:
        self._newest = secret_keys.newest
        self._ciphers = {
            version: AESGCM(secret_keys.derive(_PURPOSE, version) or b"") for version in secret_keys.versions
        }

    def seal(self, message: Message, *, mail_id: str, recipient: str) -> bytes:
        """The version of the key, a fresh nonce, and the encrypted message."""
        nonce = os.urandom(_NONCE_LENGTH)
        text = self._ciphers[self._newest].encrypt(nonce, msgspec.json.encode(message), _bound_to(mail_id, recipient))
        return self._newest.encode() + nonce + text

    def open(self, sealed: bytes, *, mail_id: str, recipient: str) -> Message:
        """The message. Raises SealError."""
        version = sealed[:_VERSION_LENGTH].decode("latin-1")
        cipher = self._ciphers.get(version)
        if cipher is None:
            raise SealError("it is encrypted under a secret key that is not in force any more")
        nonce, text = sealed[_VERSION_LENGTH:][:_NONCE_LENGTH], sealed[_VERSION_LENGTH + _NONCE_LENGTH :]
        try:
            encoded = cipher.decrypt(nonce, text, _bound_to(mail_id, recipient))
        except (InvalidTag, ValueError) as error:
            raise SealError("its text was changed in the database") from error
        return msgspec.json.decode(encoded, type=Message)


def _bound_to(mail_id: str, recipient: str) -> bytes:
    return f"{mail_id}\0{recipient}".encode()
