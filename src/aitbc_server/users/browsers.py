"""Browsers that somebody has signed in with before, told by a cookie that only this server can make.

The cookie signs nobody in. It takes a browser out of the limit that holds an account's guesses from strangers, so that
guessing is no way to lock the owner out (OWASP, "device cookies").
"""

from __future__ import annotations

import base64
import hmac
import secrets
from datetime import timedelta

import msgspec

from aitbc_server.clock import Clock, now, to_ms
from aitbc_server.secret_keys import SecretKeys

LIFETIME = timedelta(days=180)

_PURPOSE = "known-browser-v1"
_MAC_LENGTH = 16
_ID_BYTES = 9


class KnownBrowsers:
    """Makes and recognises the cookie's value."""

    def __init__(self, secret_keys: SecretKeys, clock: Clock) -> None:
        self._keys = [secret_keys.derive(_PURPOSE, version) or b"" for version in secret_keys.versions]
        self._clock = clock

    def introduce(self, user_id: str) -> str:
        """The value for a browser in which this person has just proven who they are."""
        payload = msgspec.msgpack.encode((to_ms(now(self._clock)), secrets.token_bytes(_ID_BYTES)))
        return base64.urlsafe_b64encode(self._mac(self._keys[0], user_id, payload) + payload).decode().rstrip("=")

    def recognise(self, value: str | None, user_id: str) -> str | None:
        """What this browser is called, if it is known to be this person's; None for every other value."""
        if not value:
            return None
        try:
            raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
            mac, payload = raw[:_MAC_LENGTH], raw[_MAC_LENGTH:]
            if not any(hmac.compare_digest(mac, self._mac(key, user_id, payload)) for key in self._keys):
                return None
            made_ms, browser_id = msgspec.msgpack.decode(payload, type=tuple[int, bytes])
        except (ValueError, msgspec.DecodeError):
            return None
        is_fresh = to_ms(now(self._clock)) - made_ms < LIFETIME // timedelta(milliseconds=1)
        return browser_id.hex() if is_fresh else None

    @staticmethod
    def _mac(key: bytes, user_id: str, payload: bytes) -> bytes:
        return hmac.digest(key, user_id.encode() + b"\x00" + payload, "sha256")[:_MAC_LENGTH]
