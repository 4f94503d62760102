"""The server's own script, as a gateway would call it: one request a call, its text made beforehand."""

from __future__ import annotations

from typing import NamedTuple

from aitbc import keyformat
from aitbc_server.gate import packing
from aitbc_server.gate.lua import lua
from aitbc_server.gate.store_valkey import state_key
from aitbc_server.valkey.scripts import Script

_RUN = b"0" * packing.RUN_BYTES
_CANDIDATE = b"candidate-of-all"


class Message(NamedTuple):
    """The one key of a call, what follows the deadline's 8 bytes in its first argument, and its second argument."""

    store_key: str
    behind_deadline: bytes
    request: bytes

    def words(self) -> tuple[str, str, str]:
        """The same for a file of text: the bytes in hexadecimal."""
        return self.store_key, self.behind_deadline.hex(), self.request.hex()

    def at(self, deadline_us: int) -> tuple[bytes, bytes]:
        """The arguments."""
        return packing.call(deadline_us, _CANDIDATE, _RUN), self.request


def script() -> Script:
    """What the server calls."""
    return Script(lua("server_time.lua"), lua("state.lua"), lua("take.lua"))


def gcra_script() -> Script:
    """The lighter one, in the same wrapping."""
    from bench.peers.nginx import LUA

    return Script((LUA / "gcra_script.lua").read_text(encoding="utf-8"))


def message(tenant_id: str, key: str, limit: int) -> Message:
    """A request with ``key`` of cost 1 against the plan's limit, counted for its tenant, as ``ValkeyStore`` writes it.

    It carries no fences: a gateway believes what it knows of a key for as long as it likes.
    """
    parts = keyformat.parse(key)
    assert parts is not None
    subject = f"{parts.environment}|{parts.kid}|api_keys.self|".encode()
    request = packing.request(1, 1, [(1, 1, limit)], [], subject, b"allowed")
    return Message(state_key(tenant_id), _CANDIDATE + _RUN, request)
