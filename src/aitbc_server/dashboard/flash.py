"""A word for the next page, as in "Key revoked.": it travels in a short signed cookie and is shown once."""

from __future__ import annotations

import base64
import hmac
from typing import Literal

import msgspec

from aitbc_server.secret_keys import SecretKeys

Tone = Literal["success", "info", "warning"]
MAX_AGE_S = 60
_MAC_LENGTH = 16
_MAX_TEXT = 500


class Flash(msgspec.Struct, frozen=True, array_like=True):
    """What to say, and in which tone."""

    text: str
    tone: Tone = "success"


class Flashes:
    """Seals words for the next page, so that nobody puts words of their own into our mouth. Not for secrets."""

    def __init__(self, secret_keys: SecretKeys) -> None:
        self._keys = [secret_keys.derive("flash-v1", version) or b"" for version in secret_keys.versions]

    def seal(self, flash: Flash) -> str:
        """The cookie's value."""
        payload = msgspec.json.encode(msgspec.structs.replace(flash, text=flash.text[:_MAX_TEXT]))
        return base64.urlsafe_b64encode(_mac(self._keys[0], payload) + payload).decode().rstrip("=")

    def open(self, value: str) -> Flash | None:
        """What a cookie says; None for one that is not ours."""
        try:
            raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
            mac, payload = raw[:_MAC_LENGTH], raw[_MAC_LENGTH:]
            if any(hmac.compare_digest(mac, _mac(key, payload)) for key in self._keys):
                return msgspec.json.decode(payload, type=Flash)
        except (ValueError, msgspec.DecodeError):
            pass
        return None


def _mac(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, payload, "sha256")[:_MAC_LENGTH]
