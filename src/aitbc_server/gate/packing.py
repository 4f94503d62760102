"""What take.lua is called with and what it answers, as bytes: its own text says what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

import msgspec

#: The kinds of answers.
STALE, ALLOWED, REFUSED = 0, 1, 2

RUN_BYTES = 12
TOKEN_BYTES = 16

_CALL = Struct(f"<d{TOKEN_BYTES}s{RUN_BYTES}s").pack
_REQUEST = Struct(f"<iHBBBBHHIH{TOKEN_BYTES}s").pack
_LIMIT = Struct("<HHI").pack
_FENCE = Struct(f"<H{TOKEN_BYTES}s").pack
_NO_LIMIT, _NO_FENCE = (0, 0, 0), (0, b"")

#: The time of the call, then the answers' values, one behind the other; the time alone where it came too late.
answers = msgspec.msgpack.Decoder(list[int | str]).decode


def call(deadline_us: float, candidate: bytes, run: bytes) -> bytes:
    """What holds for all requests of a call."""
    return _CALL(deadline_us, candidate, run)


def plain_request(
    cost: int, counted_for: int, tenant: int, limit: int, token: bytes, subject: bytes, outcome: bytes
) -> bytes:
    """As ``request``, of the usual kind: one tenant, its plan's limit, its fence."""
    field = subject + outcome
    return _REQUEST(cost, counted_for, 1, 1, len(subject), len(field), tenant, tenant, limit, tenant, token) + field


def request(
    cost: int,
    counted_for: int,
    limits: Sequence[tuple[int, int, int]],
    fences: Sequence[tuple[int, bytes]],
    subject: bytes,
    outcome: bytes,
) -> bytes:
    """One request: limits are (tenant, window, N), fences (tenant, token); tenants and windows by their numbers."""
    first = _REQUEST(
        cost,
        counted_for,
        len(limits),
        len(fences),
        len(subject),
        len(subject) + len(outcome),
        *(limits[0] if limits else _NO_LIMIT),
        *(fences[0] if fences else _NO_FENCE),
    )
    if len(limits) > 1 or len(fences) > 1:
        first += b"".join([*(_LIMIT(*each) for each in limits[1:]), *(_FENCE(*each) for each in fences[1:])])
    return first + subject + outcome
