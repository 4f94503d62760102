"""What the gate reads of an HTTP request: the credential, the asserted tenant, the client's address."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

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
# What is read, and why it must not come twice: two readers might take a different one of them.
_SENT_TWICE = {
    b"x-api-key": _AMBIGUOUS,
    b"authorization": _AMBIGUOUS,
    b"x-tenant-id": Refusal(Code.BAD_REQUEST, "X-Tenant-ID was sent more than once."),
}


class Presented(msgspec.Struct, frozen=True, gc=False):
    """A credential as it was sent, and the tenant that was asserted with it (None: no header)."""

    text: bytes
    tenant_id: str | None


def presented(headers: RawHeaders) -> Presented | Refusal:
    """The one credential in ``headers`` (names in lower case), or why there is none."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _SENT_TWICE:
            if name in found:
                return _SENT_TWICE[name]
            found[name] = value
    api_key = found.get(b"x-api-key")
    bearer = _bearer(found[b"authorization"]) if b"authorization" in found else None
    if api_key is None:
        api_key = bearer
    elif bearer is not None and bearer != api_key:
        return _AMBIGUOUS
    if api_key is None:
        return MISSING
    tenant = found.get(b"x-tenant-id")
    return Presented(api_key, None if tenant is None else tenant.decode("latin-1"))


def _bearer(authorization: bytes) -> bytes | None:
    """The credential of an ``Authorization`` header (RFC 6750, section 2.1); None for another scheme's."""
    scheme, _, credential = authorization.partition(b" ")
    # "Bearer" with nothing after it is an empty credential, as an empty X-API-Key is.
    return credential.strip(b" ") if scheme.lower() == b"bearer" else None


class ClientAddress:
    """Finds the client's address behind trusted proxies.

    ``X-Forwarded-For`` is believed only from a peer in ``trusted``; of its addresses the last one that is not
    itself trusted is the client, because everything before it may be the client's own invention.
    (ASVS 4.1.3, 15.3.4)
    """

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = tuple(trusted)
        #: Without trusted proxies the peer is the client, and nobody needs to ask.
        self.trusts_somebody = bool(trusted)

    def __call__(self, peer: str | None, headers: RawHeaders) -> str | None:
        """The client's address; the peer's own where no trusted proxy speaks for another."""
        if not self._is_trusted(peer):
            return peer
        forwarded = [value for name, value in headers if name == b"x-forwarded-for"]
        hops = b",".join(forwarded).decode("latin-1").split(",") if forwarded else []
        for hop in reversed(hops):
            address = hop.strip()
            if not self._is_trusted(address):
                client = parse_address(address)
                return peer if client is None else str(client)
            peer = address
        return peer

    def _is_trusted(self, text: str | None) -> bool:
        address = parse_address(text)
        return address is not None and any(address in network for network in self._trusted)


def parse_address(text: str | None) -> IPv4Address | IPv6Address | None:
    """The address; IPv4 written as IPv6, as sockets for both show it, as itself. None for what is no address.

    A zone (``fe80::1%eth0``) says something only on the machine that wrote it, and may hold any text: it is refused.
    """
    if text is None or "%" in text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
