"""The tenant that everybody gets of their own, once they have proven their address."""

from __future__ import annotations

import re
import secrets

from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import Clock, now
from aitbc_server.db.unit_of_work import UnitOfWork
from aitbc_server.tenants import repository as tenants
from aitbc_server.tenants.model import TenantRow
from aitbc_server.users import repository
from aitbc_server.users.events import AccountEvents, Origin
from aitbc_server.users.model import MembershipRow, UserRow
from aitbc_server.users.roles import Role

PLAN = "free"

_SUFFIX_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
# 32 ** 8 is a million times a million: two people called ann never meet.
_SUFFIX_LENGTH = 8
_NAME_LENGTH = 30


class Homes:
    """Gives people their own tenant.

    ``first_account_owns``: a tenant that is there already, as on a development server. While nobody is in it, whoever
    comes gets that one in place of a new one, and is the server's operator where it has none.
    """

    def __init__(self, audit: AuditLog, events: AccountEvents, clock: Clock, first_account_owns: str | None) -> None:
        self._audit = audit
        self._events = events
        self._clock = clock
        self.first_account_owns = first_account_owns

    async def give(self, unit: UnitOfWork, user: UserRow, origin: Origin) -> None:
        """Make the person, who is not verified before this, the owner of a tenant, in the caller's transaction."""
        ready = await self._ready(unit, user)
        if ready is not None and not await repository.is_operated_without(unit.session, user.id):
            user.is_operator = True
        tenant = ready or TenantRow(
            id=slug(user.email), name=user.name, plan_id=PLAN, created_at=now(self._clock), suspended_at=None
        )
        at = now(self._clock)
        user.verified_at = at
        unit.session.add(tenant)
        await unit.session.flush()
        unit.session.add(MembershipRow(tenant_id=tenant.id, user_id=user.id, role=Role.OWNER, created_at=at))
        await unit.session.flush()
        if ready is None:
            owner = await self._events.owner(unit.session, user, origin)
            made = {"id": tenant.id, "name": tenant.name, "plan": tenant.plan_id, "status": "active"}
            await self._audit.record(unit.session, owner, "tenant.created", ("tenant", tenant.id), after=made)
            unit.makes_stale(tenant.id)
        account = {"email": user.email, "name": user.name, "role": Role.OWNER, "is_operator": user.is_operator}
        await self._events.changed(unit.session, user, "user.created", origin, after=account)

    async def _ready(self, unit: UnitOfWork, user: UserRow) -> TenantRow | None:
        """The tenant that waits for somebody, held until the transaction ends; None where there is none."""
        if self.first_account_owns is None:
            return None
        ready = await tenants.tenant(unit.session, self.first_account_owns, for_update=True)
        if ready is None or await repository.others(unit.session, ready.id, user.id):
            return None
        return ready


def slug(email: str) -> str:
    """A fresh tenant id that begins like the address, for people to recognise."""
    local = re.sub("[^a-z0-9]+", "-", email.partition("@")[0].lower())[:_NAME_LENGTH].strip("-")
    suffix = "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(_SUFFIX_LENGTH))
    return f"{local or 'team'}-{suffix}"
