"""The two codes of a sign-in: a long one that the device keeps, a short one that a person types (RFC 8628, 6.1).

The database holds keyed digests of both: a short code could be found from a plain digest in a second (ASVS 6.5.2).
"""

from __future__ import annotations

import hmac
import secrets

from aitbc_server.secret_keys import SecretKeys

_PURPOSE = "device-code-v1"

# 20 consonants: no word comes about by accident, and nothing that looks like something else. 20^8 codes are 34 bits,
# which is enough where a code lives for ten minutes and wrong ones are counted.
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH = 8
_DEVICE_CODE_BYTES = 32
MAX_DEVICE_CODE_LENGTH = 64


class Codes:
    """Makes codes, and the digests under which they are found."""

    def __init__(self, secret_keys: SecretKeys) -> None:
        self._key = secret_keys.derive_newest(_PURPOSE)

    def device_digest(self, code: str) -> bytes:
        """Under which a device's code is stored."""
        return hmac.digest(self._key, b"device\0" + code.encode(), "sha256")

    def user_digest(self, code: str) -> bytes:
        """Under which a person's code is stored; ``code`` is as ``read_user_code`` gives it."""
        return hmac.digest(self._key, b"user\0" + code.encode(), "sha256")


def new_device_code() -> str:
    """256 random bits, for the device alone."""
    return secrets.token_urlsafe(_DEVICE_CODE_BYTES)


def new_user_code() -> str:
    """Such as ``WDJB-MJHT``."""
    code = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    return f"{code[:4]}-{code[4:]}"


def read_user_code(text: str) -> str | None:
    """The code that somebody typed, in its one spelling: case, spaces and hyphens do not matter. None for no code."""
    letters = "".join(character for character in text.upper() if not character.isspace() and character not in "-_.")
    if len(letters) != _LENGTH or any(letter not in _ALPHABET for letter in letters):
        return None
    return f"{letters[:4]}-{letters[4:]}"
