"""What the gate found out about a request, for the app behind it."""

from __future__ import annotations

import msgspec

from aitbc_server.gate.decision import Facts, Refusal
from aitbc_server.gate.gate import Decision
from aitbc_server.gate.operations import Operation

#: Where the app behind the gate finds the ``Context`` in its ASGI scope.
CONTEXT = "aitbc"


class Context(msgspec.Struct, eq=False):
    """What the gate found out about a request, for the app behind it.

    ``credential_text`` is the secret itself: it is here so that a long poll can look at its key again, and is
    kept out of ``repr``. ``decision`` and ``facts`` are None where no key is asked for. ``limit_state`` is remaining
    and reset of each limit, in order. ``unpresented``: why there is no credential to look at where one is asked for.
    ``error``: what a decision that was begun early ended with.
    """

    request_id: str
    operation: Operation
    client_ip: str | None
    decision: Decision | None = None
    facts: Facts | None = None
    credential_text: bytes = b""
    limit_state: tuple[int, ...] = ()
    unpresented: Refusal | None = None
    error: Exception | None = None

    def __repr__(self) -> str:
        return f"Context({self.request_id!r}, {self.operation.id!r})"
