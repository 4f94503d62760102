"""What becomes of a person's tenants and grants when their account goes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.actor import Actor
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Timestamp
from aitbc_server.db.unit_of_work import UnitOfWork
from aitbc_server.errors import conflict
from aitbc_server.tenants.model import TenantRow
from aitbc_server.users import repository
from aitbc_server.users.model import MembershipRow
from aitbc_server.users.personal_keys import revoke, revoke_keys_of
from aitbc_server.users.roles import Role


class Fate(Enum):
    """What becomes of a tenant: it is closed, others have it, it stays without anybody, or it forbids the deletion."""

    CLOSED = "closed"
    LEFT = "left"
    KEPT = "kept"
    FORBIDS = "forbids"


class Affected(NamedTuple):
    """A tenant that the person is in, and what becomes of it."""

    membership: MembershipRow
    tenant: TenantRow
    fate: Fate


class Parting(msgspec.Struct, frozen=True, kw_only=True):
    """What deleting an account means, for its owner to read before: tenants by id and name.

    ``last_operator``: nobody would operate the server any more.
    """

    closed: Sequence[tuple[str, str]]
    left: Sequence[tuple[str, str]]
    kept: Sequence[tuple[str, str]]
    forbids: Sequence[tuple[str, str]]
    last_operator: bool


async def parting(session: AsyncSession, user_id: str, *, is_operator: bool, keep: str | None) -> Parting:
    """See ``Parting``; ``keep`` as in ``close_tenants``."""
    found: dict[Fate, list[tuple[str, str]]] = {fate: [] for fate in Fate}
    for _, tenant, fate in await affected(session, user_id, keep):
        found[fate].append((tenant.id, tenant.name))
    last = is_operator and not await repository.is_operated_without(session, user_id)
    return Parting(**{fate.value: found[fate] for fate in Fate}, last_operator=last)


async def affected(session: AsyncSession, user_id: str, keep: str | None) -> list[Affected]:
    """The person's tenants with their fates. ``keep`` is a tenant that is never closed."""
    return [
        Affected(membership, tenant, await _fate(session, membership, tenant, keep))
        for membership, tenant in await repository.memberships(session, user_id)
    ]


async def _fate(session: AsyncSession, membership: MembershipRow, tenant: TenantRow, keep: str | None) -> Fate:
    user_id = membership.user_id
    if tenant.id == keep:
        return Fate.LEFT if await repository.others(session, tenant.id, user_id) else Fate.KEPT
    if membership.role != Role.OWNER or await repository.others(session, tenant.id, user_id, Role.OWNER):
        return Fate.LEFT
    return Fate.FORBIDS if await repository.others(session, tenant.id, user_id) else Fate.CLOSED


async def close_tenants(
    unit: UnitOfWork, audit: AuditLog, owner: Actor, user_id: str, at: Timestamp, *, keep: str | None
) -> None:
    """Close the tenants that only this person is in, leave the others, and end what they granted and their own keys.

    In the caller's transaction. ``keep`` is a tenant that is left, never closed. Raises ``conflict`` where others are
    in a tenant that nobody else owns: they would lose it without a word.
    """
    for membership, tenant, fate in await affected(unit.session, user_id, keep):
        actor = msgspec.structs.replace(owner, tenant_id=tenant.id)
        if fate is Fate.FORBIDS:
            raise conflict(
                f"You are the only owner of {tenant.name}, and others work in it. Make one of them an owner, or remove "
                "them, before you delete your account."
            )
        if fate is Fate.CLOSED:
            await _close(unit, audit, actor, tenant, at)
        else:
            await audit.record(unit.session, actor, "member.left", ("user", user_id), before={"role": membership.role})
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
