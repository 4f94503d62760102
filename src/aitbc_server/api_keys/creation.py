"""A new key's row: checked against what its maker may hand out, stored with its grants and its audit rows."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from aitbc import keyformat
from aitbc.schemas.api_keys import ApiKey, CreateApiKey
from aitbc.schemas.scopes import PRESET_SCOPES, Preset, Scope
from aitbc_server.actor import Actor
from aitbc_server.api_keys import fields, permissions, repository, views
from aitbc_server.api_keys.loading import api_key
from aitbc_server.api_keys.model import ApiKeyGrantRow, ApiKeyRow
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Timestamp
from aitbc_server.db.unit_of_work import UnitOfWork
from aitbc_server.errors import Code, DomainError, conflict, insufficient_scope, invalid
from aitbc_server.ids import key_id
from aitbc_server.names import check_title


def new_row(actor: Actor, wanted: CreateApiKey, at: Timestamp) -> ApiKeyRow:
    """The key that was asked for, without its secret. Raises ``insufficient_scope`` and ``validation_error``."""
    if not actor.may(Scope.API_KEYS_WRITE):
        raise insufficient_scope(Scope.API_KEYS_WRITE)
    if wanted.preset is not None and wanted.scopes is not None:
        raise invalid("scopes", "and preset cannot both be given; a preset is a set of scopes")
    preset = (wanted.preset or Preset.CLIENT) if wanted.scopes is None else None
    scopes = fields.in_order(Scope, PRESET_SCOPES[preset] if preset is not None else wanted.scopes or ())
    environment = permissions.environment_for(actor, wanted.environment)
    permissions.check_within(actor, scopes)
    return ApiKeyRow(
        kid=keyformat.random_base62(keyformat.KID_LENGTH),
        tenant_id=actor.tenant_id,
        environment=environment,
        name=check_title(wanted.name),
        preset=preset,
        scopes=scopes,
        created_at=at,
        created_by=actor.user_id or actor.id or actor.type,
        expires_at=fields.check_expiry(wanted.expires_at, at),
        enabled=True,
        allowed_ips=fields.check_allowed_ips(wanted.allowed_ips),
        limit_per_minute=wanted.limit_per_minute,
        metadata_=fields.check_metadata(wanted.metadata),
    )


async def store(
    unit: UnitOfWork,
    audit: AuditLog,
    actor: Actor,
    row: ApiKeyRow,
    tenant_ids: Iterable[str],
    at: Timestamp,
    *,
    max_keys: int | None = None,
) -> ApiKey:
    """Put a key that has its secret into the unit of work; the caller commits.

    Grants it the further ``tenant_ids``, each of which reads of it in its own audit log. Raises ``conflict`` for one
    key more than ``max_keys`` in the tenant, unless an operator makes it.
    """
    granted = sorted(set(tenant_ids) - {row.tenant_id})
    limits = await repository.plan_limits(unit.session, [row.tenant_id, *granted])
    for tenant_id in [row.tenant_id, *granted]:
        if tenant_id not in limits:
            raise DomainError(Code.NOT_FOUND, f"There is no tenant {tenant_id}.")
    fields.check_limit(row.limit_per_minute, limits[row.tenant_id])
    unit.session.add(row)
    await unit.session.flush()
    key = api_key(row, granted, at)
    target = ("api_key", key_id(row.kid))
    await audit.record(unit.session, actor, "api_key.created", target, after=views.document(key))
    await check_room(unit, actor, row.tenant_id, at, max_keys)
    for tenant_id in granted:
        grant = ApiKeyGrantRow(kid=row.kid, tenant_id=tenant_id, granted_by=actor.id or actor.type, granted_at=at)
        unit.session.add(grant)
        for_tenant = msgspec.structs.replace(actor, tenant_id=tenant_id)
        await audit.record(unit.session, for_tenant, "api_key.granted", target, after=views.document(key))
    unit.makes_stale(row.tenant_id)
    return key


async def check_room(unit: UnitOfWork, actor: Actor, tenant_id: str, at: Timestamp, most: int | None) -> None:
    """Raise ``conflict`` where the tenant has more keys than it may, with one that is new or valid again.

    To be asked when the change is recorded: the tenant's audit log is held from then on, so that changes that are made
    at once are counted one after another. (ASVS 15.4.2)
    """
    if most is None or actor.type == "operator":
        return
    if await repository.count_live(unit.session, tenant_id, at) > most:
        raise conflict(
            f"There are {most} API keys already, which is as many as a tenant may have. Revoke keys that nobody uses, "
            "or ask who runs this installation for more."
        )
