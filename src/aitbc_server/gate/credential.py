"""What a node keeps of a secret that it has seen: the key that it stands for, and what its next request needs."""

from __future__ import annotations

import msgspec

from aitbc_server.gate.records import KeyRecord
from aitbc_server.gate.store import Prepared


class Credential(msgspec.Struct, gc=False):
    """A secret that was checked and found right: the key's current one, or its previous one until it expires.

    What follows these stands here so that the next request finds it in one place, and nothing is lost with it: when
    (µs, 0 for never) and from where the secret was last used, whether its recorder has been told, and what the last
    request that passed needed.
    """

    record: KeyRecord
    is_previous: bool = False
    expires_at_us: int | None = None
    used_at_us: int = 0
    used_ip: str | None = None
    use_is_told: bool = False
    prepared: Prepared | None = None
