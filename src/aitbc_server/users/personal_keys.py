"""The keys that stand for a person, who got them by ``aitbc login``: they work while the account does (ASVS 7.4.2).

All other keys that somebody made are their tenant's, and go on without them: services depend on those.
"""

from __future__ import annotations

import msgspec

from aitbc_server.actor import Actor
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Timestamp
from aitbc_server.db.unit_of_work import UnitOfWork
from aitbc_server.ids import key_id
from aitbc_server.users import repository


async def revoke_keys_of(unit: UnitOfWork, audit: AuditLog, actor: Actor, user_id: str, at: Timestamp) -> None:
    """End them for good, in the caller's transaction."""
    for key in await repository.personal_keys(unit.session, user_id):
        await revoke(unit, audit, actor, key, at)


async def switch_keys_of(unit: UnitOfWork, audit: AuditLog, actor: Actor, user_id: str, *, disabled: bool) -> None:
    """Refuse them from now on, or no longer, in the caller's transaction. What was done to each key itself stays."""
    for key in await repository.personal_keys(unit.session, user_id):
        key.user_disabled = disabled
        if key.enabled:
            words = ("active", "disabled") if disabled else ("disabled", "active")
            before, after = ({"status": word} for word in words)
            await _record(unit, audit, actor, key, "api_key.updated", before, after)
        unit.makes_stale(key.tenant_id)


async def revoke(unit: UnitOfWork, audit: AuditLog, actor: Actor, key: ApiKeyRow, at: Timestamp) -> None:
    """End one key for good, in the caller's transaction."""
    key.revoked_at = at
    unit.ends(key.kid)
    await _record(unit, audit, actor, key, "api_key.revoked", None, {"status": "revoked"})
    unit.makes_stale(key.tenant_id)


async def _record(
    unit: UnitOfWork,
    audit: AuditLog,
    actor: Actor,
    key: ApiKeyRow,
    action: str,
    before: dict[str, str] | None,
    after: dict[str, str],
) -> None:
    await audit.record(
        unit.session,
        msgspec.structs.replace(actor, tenant_id=key.tenant_id),
        action,
        ("api_key", key_id(key.kid)),
        before=before,
        after=after,
        environment=key.environment,
    )
