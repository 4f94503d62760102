"""Hash slots of a cluster: which one a key is in, and who has which, as the servers tell it."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator
from typing import Any, NamedTuple

from aitbc_server.valkey.connection import Address, RefusedError

SLOTS = 16384

_MOVED, _ASK = "MOVED", "ASK"


def slot_of(key: str) -> int:
    """The key's slot: of what stands in its first braces, where something does, else of all of it."""
    _, opened, rest = key.partition("{")
    tag, closed, _ = rest.partition("}")
    return crc_hqx((tag if opened and closed and tag else key).encode(), 0) % SLOTS


class Share(NamedTuple):
    """The slots from ``first`` to ``last`` are with this master; ``replicas`` are its copies."""

    first: int
    last: int
    master: Address
    replicas: tuple[Address, ...]


def shares(answer: list[Any], asked: Address) -> Iterator[Share]:
    """What CLUSTER SLOTS answers. A server that does not know its own host means the one that was ``asked``."""
    for first, last, *servers in answer:
        addresses = [_address(server[0], server[1], asked) for server in servers]
        yield Share(int(first), int(last), addresses[0], tuple(addresses[1:]))


def _address(host: bytes | None, port: int, asked: Address) -> Address:
    name = (host or b"").decode()
    return asked._replace(host=asked.host if name in {"", "?"} else name, port=int(port), path=None)


class Redirect(NamedTuple):
    """Where a call belongs. ``asks``: only this one, of a slot that is on its way there."""

    slot: int
    address: Address
    asks: bool


def redirect(error: BaseException | None, asked: Address) -> Redirect | None:
    """Where the server that was ``asked`` sends a call; None for an error of another kind."""
    if not isinstance(error, RefusedError) or error.kind not in {_MOVED, _ASK}:
        return None
    _, slot, target = str(error).split(" ")[:3]
    host, _, port = target.rpartition(":")
    return Redirect(int(slot), _address(host.encode(), int(port), asked), error.kind == _ASK)
