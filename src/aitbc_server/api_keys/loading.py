"""From database rows to what the gate and the API know of a key."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_network

import msgspec

from aitbc import keyformat
from aitbc.schemas.api_keys import ApiKey, KeyStatus, PreviousSecret
from aitbc.schemas.scopes import Environment, Preset, Scope
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.clock import Timestamp, to_ms
from aitbc_server.gate.records import KeyRecord, TenantRecord, limit_set
from aitbc_server.ids import key_id
from aitbc_server.wire import encode, to_builtins

# These change with use; whoever answers adds them (see ``LastUse``).
_CHANGING = ("last_used_at", "last_used_ip", "previous_secret")

# What most keys have in common is one object for all of them: a server holds hundreds of thousands of records.
_NO_GRANTS: dict[str, TenantRecord] = {}
_NO_METADATA = b"{}"
_SHARED_SCOPE_SETS = 1024


def key_record(row: ApiKeyRow, tenant: TenantRecord, granted: Iterable[TenantRecord], at: Timestamp) -> KeyRecord:
    """The gate's view of a key."""
    tenants = {each.id: each for each in granted} or _NO_GRANTS
    document = to_builtins(api_key(row, list(tenants), at))
    fixed = {field: value for field, value in document.items() if field not in _CHANGING}
    return KeyRecord(
        kid=row.kid,
        environment=sys.intern(row.environment),
        tenant=tenant,
        granted=tenants,
        scopes=_scopes(tuple(row.scopes)),
        revoked=row.revoked_at is not None,
        enabled=row.enabled and not row.user_disabled,
        expires_at_us=_us(row.expires_at),
        networks=tuple(ip_network(network) for network in row.allowed_ips),
        limit_per_minute=row.limit_per_minute,
        verifies_all=row.verifies_all,
        limit_set=limit_set(tenant, row.kid, row.limit_per_minute),
        document=encode(fixed)[:-1],
        metadata=msgspec.json.encode(row.metadata_) if row.metadata_ else _NO_METADATA,
        previous_expires_at_us=_us(row.previous_expires_at),
        previous_last_used_us=_us(row.previous_last_used_at),
    )


def api_key(row: ApiKeyRow, tenant_ids: Iterable[str], at: Timestamp) -> ApiKey:
    """The wire object of a key, its status as of ``at``."""
    return ApiKey(
        id=key_id(row.kid),
        name=row.name,
        masked=keyformat.mask(row.environment, row.kid, row.last4),
        environment=Environment(row.environment),
        preset=None if row.preset is None else Preset(row.preset),
        scopes=[scope for scope in Scope if scope in row.scopes],
        tenant_id=row.tenant_id,
        tenant_ids=sorted(tenant_ids),
        status=_status(row, at),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        last_used_ip=row.last_used_ip,
        allowed_ips=row.allowed_ips,
        limit_per_minute=row.limit_per_minute,
        metadata=row.metadata_,
        secret_created_at=row.secret_created_at,
        previous_secret=_previous_secret(row, at),
    )


@lru_cache(_SHARED_SCOPE_SETS)
def _scopes(scopes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(scopes)


def _us(at: Timestamp | None) -> int | None:
    return None if at is None else to_ms(at) * 1000


def _status(row: ApiKeyRow, at: Timestamp) -> KeyStatus:
    if row.revoked_at is not None:
        return KeyStatus.REVOKED
    if not row.enabled or row.user_disabled:
        return KeyStatus.DISABLED
    if row.expires_at is not None and row.expires_at <= at:
        return KeyStatus.EXPIRED
    return KeyStatus.ACTIVE


def _previous_secret(row: ApiKeyRow, at: Timestamp) -> PreviousSecret | None:
    # Of a revoked key no secret works, whatever its grace period was.
    if row.revoked_at is not None or row.previous_expires_at is None or row.previous_expires_at <= at:
        return None
    return PreviousSecret(expires_at=row.previous_expires_at, last_used_at=row.previous_last_used_at)
