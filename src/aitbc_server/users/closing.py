"""What becomes of a person's tenants and grants when their account goes."""

from __future__ import annotations

import msgspec

from aitbc_server.actor import Actor
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Timestamp
from aitbc_server.db.unit_of_work import UnitOfWork
from aitbc_server.errors import conflict
from aitbc_server.tenants.model import TenantRow
from aitbc_server.users import repository
from aitbc_server.users.personal_keys import revoke, revoke_keys_of
from aitbc_server.users.roles import Role


async def close_tenants(
    unit: UnitOfWork, audit: AuditLog, owner: Actor, user_id: str, at: Timestamp, *, keep: str | None
) -> None:
    """Close the tenants that only this person is in, leave the others, and end what they granted and their own keys.

    In the caller's transaction. ``keep`` is a tenant that is left, never closed. Raises ``conflict`` where others are
    in a tenant that nobody else owns: they would lose it without a word.
    """
    for membership, tenant in await repository.memberships(unit.session, user_id):
        actor = msgspec.structs.replace(owner, tenant_id=tenant.id)
        is_owner = membership.role == Role.OWNER and tenant.id != keep
        if not is_owner or await repository.others(unit.session, tenant.id, user_id, Role.OWNER):
            await audit.record(unit.session, actor, "member.left", ("user", user_id), before={"role": membership.role})
            continue
        if await repository.others(unit.session, tenant.id, user_id):
            raise conflict(
                f"You are the only owner of {tenant.name}, and others work in it. Make one of them an owner, or remove "
                "them, before you delete your account."
            )
        await _close(unit, audit, actor, tenant, at)
    await revoke_keys_of(unit, audit, owner, user_id, at)
    for granted in await repository.end_grants_of(unit.session, user_id):
        unit.makes_stale(granted)


async def _close(unit: UnitOfWork, audit: AuditLog, actor: Actor, tenant: TenantRow, at: Timestamp) -> None:
    for key in await repository.live_keys(unit.session, tenant.id):
        await revoke(unit, audit, actor, key, at)
    if tenant.suspended_at is None:
        tenant.suspended_at = at
        await audit.record(
            unit.session,
            actor,
            "tenant.suspended",
            ("tenant", tenant.id),
            before={"status": "active"},
            after={"status": "suspended"},
        )
    unit.makes_stale(tenant.id)
