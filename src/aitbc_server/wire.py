"""How this server writes JSON: msgspec, with times in RFC 3339, milliseconds and ``Z``."""

from __future__ import annotations

from typing import Any

import msgspec

from aitbc_server.clock import Timestamp


def enc_hook(value: Any) -> Any:
    """Write what msgspec does not know by itself. Raises NotImplementedError for anything unexpected."""
    if isinstance(value, Timestamp):
        return value.text()
    raise NotImplementedError(f"cannot write {type(value).__name__} as JSON")


_ENCODER = msgspec.json.Encoder(enc_hook=enc_hook)


def encode(value: Any) -> bytes:
    """The JSON bytes of a wire type."""
    return _ENCODER.encode(value)


def to_builtins(value: Any) -> Any:
    """The wire type as plain dicts, lists and strings, as its JSON would read."""
    return msgspec.to_builtins(value, enc_hook=enc_hook)
