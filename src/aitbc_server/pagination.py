"""Cursors: opaque, keyed against alteration, stable under inserts (newest first by time and id)."""

from __future__ import annotations

import base64
import hmac
from typing import Any

import msgspec

from aitbc_server.clock import Timestamp, from_ms, to_ms
from aitbc_server.errors import Code, DomainError
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.wire import encode

DEFAULT_LIMIT = 50
MAX_LIMIT = 100
_MAC_LENGTH = 16


class Cursors:
    """Makes and reads cursors. A cursor names the last object that was shown, and is bound to its ``listing``."""

    def __init__(self, secret_keys: SecretKeys) -> None:
        self._keys = [secret_keys.derive("cursor-v1", version) or b"" for version in secret_keys.versions]

    def encode(self, listing: str, time: Timestamp, object_id: str) -> str:
        """The cursor after the object with this time and id in ``listing``."""
        payload = msgspec.msgpack.encode((to_ms(time), object_id))
        return _text(self._mac(self._keys[0], listing, payload) + payload)

    def decode(self, listing: str, cursor: str) -> tuple[Timestamp, str]:
        """The time and id in a cursor. Raises ``bad_request`` for one that was altered or is of another list."""
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            mac, payload = raw[:_MAC_LENGTH], raw[_MAC_LENGTH:]
            known = any(hmac.compare_digest(mac, self._mac(key, listing, payload)) for key in self._keys)
            # Base64 can spell the same bytes in several ways; only ours counts as unaltered.
            if known and cursor == _text(raw):
                milliseconds, object_id = msgspec.msgpack.decode(payload, type=tuple[int, str])
                return from_ms(milliseconds), object_id
        except (ValueError, msgspec.DecodeError):
            pass
        detail = "cursor: this is no cursor of this list with these filters. Leave it out to start anew."
        raise DomainError(Code.BAD_REQUEST, detail)

    @staticmethod
    def _mac(key: bytes, listing: str, payload: bytes) -> bytes:
        return hmac.digest(key, listing.encode() + b"\x00" + payload, "sha256")[:_MAC_LENGTH]


def listing(name: str, *filters: Any) -> str:
    """A list by all that decides what is on it: its name, whose it is, and the filters that were asked for.

    With other filters the object that a cursor names may be none of the list's, and pages would be left out unseen.
    """
    return encode([name, *filters]).decode()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def cut(rows: list[Any], limit: int) -> tuple[list[Any], bool]:
    """Of ``limit`` + 1 rows that were asked for: those to show, and whether there are more."""
    return rows[:limit], len(rows) > limit
