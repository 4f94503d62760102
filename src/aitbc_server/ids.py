"""Ids: opaque strings with a prefix that says what they name."""

from __future__ import annotations

from aitbc.keyformat import KID_LENGTH, random_base62

KEY_ID_PREFIX = "key_"

# 20 base62 characters are 119 bits: two ids never meet.
_ID_LENGTH = 20


def new_id(prefix: str) -> str:
    """A fresh random id such as ``job_4fQ…``."""
    return f"{prefix}_{random_base62(_ID_LENGTH)}"


def key_id(kid: str) -> str:
    """The public id of the key with this kid."""
    return KEY_ID_PREFIX + kid


def kid_of(key_id: str) -> str | None:
    """The kid in a public key id; None where the text is no key id."""
    kid = key_id.removeprefix(KEY_ID_PREFIX)
    is_kid = len(kid) == KID_LENGTH and kid.isascii() and kid.isalnum()
    return kid if kid != key_id and is_kid else None
