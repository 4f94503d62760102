"""What the gate knows of a key: small, immutable records, made by whoever reads the database.

A server holds hundreds of thousands of them, so they are lean: none is followed by the garbage collector (they
never form cycles), and what many keys have in common is one object.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

import msgspec

from aitbc_server.ids import key_id

#: A header as ASGI wants it: name in lower case, value.
Header = tuple[bytes, bytes]

Network = IPv4Network | IPv6Network

#: (tenant id, environment, kid): for whom a decision is counted.
UsageId = tuple[str, str, str]

# More plans than this on one server would only mean that equal limits are held more than once.
_SHARED_LIMIT_SETS = 1024


class Limit(msgspec.Struct, frozen=True, gc=False):
    """At most ``limit`` in any 60 s.

    ``window`` names its log within a tenant: "" for the plan's, a kid for a key's own. ``tenant_id`` says whose
    log that is where it is not the tenant that the request acts for: a key's own limit holds over all tenants.
    """

    name: str
    limit: int
    window: str = ""
    tenant_id: str | None = None


class LimitSet(msgspec.Struct, frozen=True, gc=False):
    """All limits of a request, taken together or not at all; ``smallest`` is what a single request may cost.

    ``policy`` is the ``RateLimit-Policy`` header, ``numbers`` the ``X-RateLimit-Limit`` header of each limit. ``state``
    (the ``RateLimit`` header) and ``status`` (the JSON of ``limits`` in the answer of self) are formats that take
    remaining and reset of each limit, in order.
    """

    limits: tuple[Limit, ...]
    smallest: int
    policy: Header
    numbers: tuple[Header, ...]
    state: bytes
    status: bytes


class TenantRecord(msgspec.Struct, frozen=True, gc=False):
    """A tenant and its plan's limit; ``document`` is its JSON in the answer of self, which alone holds its name."""

    id: str
    plan: str
    limit_per_minute: int
    suspended: bool
    document: bytes


def tenant_record(tenant_id: str, name: str, plan: str, limit_per_minute: int, *, suspended: bool) -> TenantRecord:
    """The record of a tenant."""
    document = msgspec.json.encode({"id": tenant_id, "name": name, "plan": plan})
    return TenantRecord(tenant_id, plan, limit_per_minute, suspended, document)


class KeyRecord(msgspec.Struct, frozen=True, gc=False):
    """A key as the gate needs it; times in microseconds.

    ``document`` is the key's JSON object for ``GET /v1/api-keys/self`` without its closing brace and without
    the fields that change with use; the handler adds those. ``previous_*`` is the older secret in its grace period,
    as the database had it.
    """

    kid: str
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
    document: bytes
    metadata: bytes
    previous_expires_at_us: int | None = None
    previous_last_used_us: int | None = None

    @property
    def key_id(self) -> str:
        """The key's public id."""
        return key_id(self.kid)

    @property
    def usage_id(self) -> UsageId:
        """For whom its decisions are counted where it acts for its own tenant."""
        return self.tenant.id, self.environment, self.kid

    @property
    def name(self) -> str:
        """The key's name. It is seldom asked for, so that it stands in the document alone."""
        return msgspec.json.decode(self.document + b"}", type=_Named).name


class _Named(msgspec.Struct):
    name: str


def limit_set(tenant: TenantRecord, kid: str, limit_per_minute: int | None, home_id: str | None = None) -> LimitSet:
    """The limits of a request that acts for ``tenant``: its plan's, and the key's own where it has one.

    ``home_id`` is the key's tenant where it acts for another.
    """
    if limit_per_minute is None:
        return _plan_limit_set(tenant.plan, tenant.limit_per_minute)
    own = Limit("key", limit_per_minute, kid, home_id)
    return _limit_set((Limit(tenant.plan, tenant.limit_per_minute), own))


@lru_cache(_SHARED_LIMIT_SETS)
def _plan_limit_set(plan: str, limit_per_minute: int) -> LimitSet:
    return _limit_set((Limit(plan, limit_per_minute),))


def _limit_set(limits: tuple[Limit, ...]) -> LimitSet:
    policy = ", ".join(f'"{limit.name}";q={limit.limit};w=60' for limit in limits)
    # What is formatted later must not read a percent sign in a plan's name as an instruction.
    names = [limit.name.replace("%", "%%") for limit in limits]
    state = ", ".join(f'"{name}";r=%d;t=%d' for name in names)
    status = ",".join(
        f'{{"name":"{name}","limit":{limit.limit},"window_s":60,"remaining":%d,"reset_s":%d}}'
        for name, limit in zip(names, limits, strict=True)
    )
    return LimitSet(
        limits,
        min(limit.limit for limit in limits),
        (b"ratelimit-policy", policy.encode()),
        tuple((b"x-ratelimit-limit", b"%d" % limit.limit) for limit in limits),
        state.encode(),
        f"[{status}]".encode(),
    )
