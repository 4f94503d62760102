"""Whose the store is: a key in it names the installation whose limits, fences and counts are there.

Keys of tenants say nothing of it, and two installations have tenants of the same names. One that took the store of the
other for its own would take that one's counts into its own database, where they are lost, and share its limits.

It is one key, also on a cluster, where one master has it and the others send whoever asks on to that one: the servers
of a cluster belong together, and slots move between them, so that a key for each would be wherever the slots are. It is
looked at for each new connection and once a second, never for a request.
"""

from __future__ import annotations

from aitbc_server.valkey.connection import Address, Argument, Connection, ConnectionLostError, RefusedError, connect
from aitbc_server.valkey.link import FAULTS
from aitbc_server.valkey.slots import redirect, slot_of

#: No tenant's: those have braces.
KEY = "aitbc:1:installation"
SLOT = slot_of(KEY)

_TIMEOUT_S = 0.25
# A cluster's words for that it cannot tell at the moment.
_OF_THE_MOMENT = {"CLUSTERDOWN", "MOVED", "ASK", "TRYAGAIN"}


class OtherInstallationError(RefusedError):
    """The store is another installation's."""


class UntoldError(ConnectionLostError):
    """The cluster's server that knows it cannot be asked."""


async def owner(connection: Connection, address: Address) -> str | None:
    """The id of the installation whose it is; None: nobody's yet.

    ``address``: where the connection leads. Raises UntoldError, and as ``Connection.call``.
    """
    found: bytes | None = await _ask(connection, address, "GET", KEY)
    return None if found is None else found.decode(errors="replace")


async def claim(connection: Connection, address: Address, installation_id: str) -> str | None:
    """As ``owner``, after it was made this installation's where it was nobody's."""
    found = await owner(connection, address)
    if found is not None:
        return found
    # Whoever comes first: two may do this at once.
    await _ask(connection, address, "SET", KEY, installation_id, "NX")
    return await owner(connection, address)


async def hand_over(connection: Connection, address: Address, before: str, after: str) -> None:
    """Make what is of the installation ``before`` that of ``after``; what is anybody else's stays so."""
    if await owner(connection, address) == before:
        await _ask(connection, address, "SET", KEY, after)


class Whose:
    """What a node knows of it. ``installation_id`` is the node's own, set before anything is asked."""

    def __init__(self) -> None:
        self._id = ""
        self._was_ours = self._was_others = False

    @property
    def installation_id(self) -> str:
        """This node's."""
        return self._id

    @installation_id.setter
    def installation_id(self, value: str) -> None:
        if value != self._id:
            self._id, self._was_ours, self._was_others = value, False, False

    async def ensure_ours(self, connection: Connection, address: Address) -> None:
        """Raises OtherInstallationError where it is not, and as ``owner``. A store that is nobody's is ours after it.

        But not one that has been another's: when that one is emptied, it is for its own nodes to say whose it is.
        """
        try:
            if self._was_others:
                found = await owner(connection, address)
            else:
                found = await claim(connection, address, self._id)
        except UntoldError:
            # One master of a cluster is away. What that means for its tenants must not come upon all others too.
            if self._was_ours:
                return
            raise
        if found != self._id:
            self._was_others = True
            if found is None:
                raise OtherInstallationError("it was another installation's before: start the server again to use it")
            raise OtherInstallationError(
                f"it is another installation's ({short(found)}; this one is {short(self._id)}):"
                " AITBC_VALKEY_URL names the wrong one"
            )
        self._was_ours, self._was_others = True, False


def short(installation_id: str) -> str:
    """Enough of an id to tell one from another."""
    return installation_id[:8]


async def _ask(connection: Connection, address: Address, *command: Argument) -> bytes | None:
    try:
        return await _call(connection, *command)
    except RefusedError as error:
        if error.kind not in _OF_THE_MOMENT:
            raise
        elsewhere = redirect(error, address)
        if elsewhere is None:
            raise UntoldError(f"whose it is cannot be told: {error}") from error
    try:
        there = await connect(elsewhere.address, timeout_s=_TIMEOUT_S)
        try:
            if elsewhere.asks:
                await there.call("ASKING")
            return await _call(there, *command)
        finally:
            there.close()
    except FAULTS as error:
        reason = str(error) or "no answer in time"
        raise UntoldError(f"whose it is cannot be told: {elsewhere.address.name}: {reason}") from error


async def _call(connection: Connection, *command: Argument) -> bytes | None:
    answer: bytes | None = await connection.call(*command)
    return answer
