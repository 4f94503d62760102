"""What happened to accounts: one line in the log for each step of a sign-in, one row in the audit log for each change.

Changes stand in the audit log of the person's own tenant, or in the operators' where they have none. Failures are
logged alone, without what was typed: people put passwords into the wrong field. (ASVS 16.2.1, 16.2.5, 16.3.1)
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.actor import Actor
from aitbc_server.audit.service import AuditLog
from aitbc_server.tenants.service import OPERATOR_TENANT
from aitbc_server.users import repository
from aitbc_server.users.model import UserRow
from aitbc_server.users.roles import ROLE_SCOPES, Role

logger = logging.getLogger(__name__)


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request of a person comes from.

    ``browser`` is the cookie by which a browser may be known, ``session`` the token of the session that it has.
    """

    client_ip: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    browser: str | None = None
    session: str | None = None


class AccountEvents:
    """Writes down what happens to accounts."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    async def changed(
        self,
        session: AsyncSession,
        user: UserRow,
        action: str,
        origin: Origin,
        *,
        by: Actor | None = None,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
    ) -> None:
        """Record a change of this account in the caller's transaction, made by its owner unless ``by`` another."""
        actor = await self.owner(session, user, origin)
        if by is not None:
            actor = msgspec.structs.replace(by, tenant_id=actor.tenant_id)
        await self._audit.record(session, actor, action, ("user", user.id), before=before, after=after)
        self.log(action, user.id, origin)

    async def owner(self, session: AsyncSession, user: UserRow, origin: Origin) -> Actor:
        """The person as an actor in their own tenant."""
        joined = await repository.memberships(session, user.id)
        # The first that they own: an invitation may have brought them into another one before.
        own = [each for each in joined if each.membership.role == Role.OWNER]
        return Actor(
            type="user",
            id=user.id,
            name=user.email,
            tenant_id=own[0].tenant.id if own else OPERATOR_TENANT,
            scopes=ROLE_SCOPES[Role.OWNER] if own else frozenset(),
            client_ip=origin.client_ip,
            request_id=origin.request_id,
        )

    def log(self, what: str, user_id: str | None, origin: Origin) -> None:
        """One line in the log; ``user_id`` None: nobody that is known here."""
        facts = {"user_id": user_id, "client_ip": origin.client_ip, "request_id": origin.request_id}
        logger.info("%s", what, extra={name: value for name, value in facts.items() if value is not None})

    def refused(self, what: str, user_id: str | None, origin: Origin) -> None:
        """The same for what did not succeed."""
        facts = {"user_id": user_id, "client_ip": origin.client_ip, "request_id": origin.request_id}
        logger.warning("%s", what, extra={name: value for name, value in facts.items() if value is not None})
