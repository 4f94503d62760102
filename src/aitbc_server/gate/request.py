"""What the gate reads of an HTTP request: the credential, the asserted tenant, the client's address."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import msgspec

from aitbc_server.errors import Code
from aitbc_server.gate.decision import Refusal
from aitbc_server.gate.gate import MISSING
from aitbc_server.gate.records import Network

RawHeaders = Sequence[tuple[bytes, bytes]]

_AMBIGUOUS = Refusal(
    Code.AMBIGUOUS_CREDENTIALS,
    "More than one API key was sent. Send one, once: in X-API-Key or in Authorization: Bearer.",
)
_TENANT_TWICE = Refusal(Code.BAD_REQUEST, "X-Tenant-ID was sent more than once.")


class Presented(msgspec.Struct, frozen=True, gc=False):
    """A credential as it was sent, and the tenant that was asserted with it (None: no header)."""

    text: bytes
    tenant_id: str | None


def presented(headers: RawHeaders) -> Presented | Refusal:
    """The one credential in ``headers`` (names in lower case), or why there is none."""
    api_key = bearer = tenant = None
    for name, value in headers:
        if name == b"x-api-key":
            if api_key is not None:
                return _AMBIGUOUS
            api_key = value
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            if bearer is not None:
                return _AMBIGUOUS
            bearer = value[7:].strip(b" ")
        elif name == b"x-tenant-id":
            if tenant is not None:
                return _TENANT_TWICE
            tenant = value
    if api_key is not None and bearer is not None and api_key != bearer:
        return _AMBIGUOUS
    text = api_key if api_key is not None else bearer
    if text is None:
        return MISSING
    return Presented(text, None if tenant is None else tenant.decode("latin-1"))


class ClientAddress:
    """Finds the client's address behind trusted proxies.

    ``X-Forwarded-For`` is believed only from a peer in ``trusted``; of its addresses the last one that is not
    itself trusted is the client, because everything before it may be the client's own invention.
    (ASVS 4.1.3, 15.3.4)
    """

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def __call__(self, peer: str | None, headers: RawHeaders) -> str | None:
        """The client's address; the peer's own where no trusted proxy speaks for another."""
        if not self._trusted or not self._is_trusted(peer):
            return peer
        forwarded = [value for name, value in headers if name == b"x-forwarded-for"]
        hops = b",".join(forwarded).decode("latin-1").split(",") if forwarded else []
        for hop in reversed(hops):
            address = hop.strip()
            if not self._is_trusted(address):
                return address if _is_address(address) else peer
            peer = address
        return peer

    def _is_trusted(self, text: str | None) -> bool:
        try:
            address = ip_address(text or "")
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
