"""What the values of an API key's fields must be, beyond their types. Each check raises ``validation_error``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from ipaddress import ip_interface, ip_network
from typing import Any

from aitbc_server.clock import Timestamp, from_ms, to_ms
from aitbc_server.errors import invalid
from aitbc_server.json_limits import check_json

MAX_METADATA_BYTES = 16 * 1024


def check_expiry(expires_at: datetime | None, at: Timestamp) -> Timestamp | None:
    """The time in milliseconds, if it lies after ``at``."""
    if expires_at is None:
        return None
    try:
        expiry = from_ms(to_ms(expires_at))
    except OverflowError:
        raise invalid("expires_at", "is later than any time that can be kept (9999-12-31)") from None
    if expiry <= at:
        raise invalid("expires_at", f"must lie in the future; it is {at.text()} now")
    return expiry


def check_allowed_ips(texts: Sequence[str]) -> list[str]:
    """The networks in their one spelling, in the order given, each once. A single address is a network of one."""
    return list(dict.fromkeys(_network(f"allowed_ips.{index}", text) for index, text in enumerate(texts)))


def check_limit(limit_per_minute: int | None, plan_limit: int) -> int | None:
    """A key's own limit is at most its plan's: a higher one would promise what is never let through."""
    if limit_per_minute is not None and limit_per_minute > plan_limit:
        raise invalid("limit_per_minute", f"must be at most {plan_limit}, the limit of the tenant's plan")
    return limit_per_minute


def check_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """JSON that can be stored, up to 16 KiB."""
    check_json("metadata", metadata, max_bytes=MAX_METADATA_BYTES)
    return metadata


def in_order(names: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """``wanted`` in the order of ``names``, each once."""
    chosen = set(wanted)
    return [name for name in names if name in chosen]


def _network(field: str, text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError:
        raise invalid(field, _what_is_wrong(text)) from None
    if network.version == 6 and network.network_address.ipv4_mapped is not None:
        raise invalid(field, "is an IPv4 address in IPv6 form; write it as IPv4")
    if getattr(network.network_address, "scope_id", None) is not None:
        raise invalid(field, "must not have a zone (%)")
    return str(network)


def _what_is_wrong(text: str) -> str:
    try:
        meant = ip_interface(text).network
    except ValueError:
        return "is neither an address nor a network such as 192.0.2.0/24 or 2001:db8::/32"
    return f"has bits set beyond its prefix; the network is {meant}"
