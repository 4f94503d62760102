"""What the gate knows of a key: small, immutable records, made by whoever reads the database."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import msgspec

Network = IPv4Network | IPv6Network

#: (tenant id, environment, kid): for whom a decision is counted.
UsageId = tuple[str, str, str]


class Limit(msgspec.Struct, frozen=True, gc=False):
    """At most ``limit`` in any 60 s. ``window`` names its log within the tenant: "" for the plan's, a kid for a key's."""

    name: str
    limit: int
    window: str


class LimitSet(msgspec.Struct, frozen=True):
    """All limits of a request, taken together or not at all, and their ``RateLimit-Policy`` header."""

    limits: tuple[Limit, ...]
    policy: bytes


class TenantRecord(msgspec.Struct, frozen=True, gc=False):
    """A tenant and its plan's limit."""

    id: str
    name: str
    plan: str
    limit_per_minute: int
    suspended: bool


class KeyRecord(msgspec.Struct, frozen=True):
    """A key as the gate needs it; times in microseconds.

    ``document`` is the key's JSON object for ``GET /v1/api-keys/self`` without its closing brace and without
    the fields that change with use; the handler adds those. ``previous_*`` is the older secret in its grace period,
    as the database had it.
    """

    kid: str
    key_id: str
    name: str
    environment: str
    tenant: TenantRecord
    granted: dict[str, TenantRecord]
    scopes: frozenset[str]
    revoked: bool
    enabled: bool
    expires_at_us: int | None
    networks: tuple[Network, ...]
    limit_per_minute: int | None
    verifies_all: bool
    limit_set: LimitSet
    usage_id: UsageId
    document: bytes
    metadata: bytes
    previous_expires_at_us: int | None = None
    previous_last_used_us: int | None = None


class Credential(msgspec.Struct, frozen=True):
    """A secret that was checked and found right: the key's current one, or its previous one until it expires."""

    record: KeyRecord
    is_previous: bool = False
    expires_at_us: int | None = None


def limit_set(tenant: TenantRecord, kid: str, limit_per_minute: int | None) -> LimitSet:
    """The limits of a request that acts for ``tenant``: its plan's, and the key's own where it has one."""
    limits = [Limit(tenant.plan, tenant.limit_per_minute, "")]
    if limit_per_minute is not None:
        limits.append(Limit("key", limit_per_minute, kid))
    policy = ", ".join(f'"{limit.name}";q={limit.limit};w=60' for limit in limits)
    return LimitSet(tuple(limits), policy.encode())
