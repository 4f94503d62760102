"""How much is measured; the same for every goal of a run."""

from __future__ import annotations

from typing import NamedTuple


class Options(NamedTuple):
    """The defaults are the method; smaller numbers only show that it works."""

    seconds: int = 5
    rounds: int = 3
    warm_up_s: int = 2
    tenants: int = 10_000
    starts: int = 15
    #: The peers that may be installed and measured; all of them for None.
    peers: tuple[str, ...] | None = None

    def wants(self, peer: str) -> bool:
        """Whether this peer is measured."""
        return self.peers is None or peer in self.peers
