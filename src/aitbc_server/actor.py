"""Who acts, and from where: what every change is made and recorded with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from aitbc.schemas.scopes import Environment, Scope
from aitbc_server.errors import Code, DomainError
from aitbc_server.users.roles import ROLE_SCOPES, Role

if TYPE_CHECKING:
    from aitbc_server.gate.context import Context
    from aitbc_server.users.sessions import SignedIn

ActorType = Literal["api_key", "user", "operator", "system"]


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for something, for which tenant, and what they may do there.

    ``environment`` is None for people and operators, who see both. ``role`` is a person's in the tenant, else None;
    ``kid`` is the acting key's own, else None. ``user_id`` is the person whom that key stands for, whose role then
    counts too, where that was looked up.
    """

    type: ActorType
    id: str | None
    name: str | None
    tenant_id: str
    scopes: frozenset[str]
    environment: Environment | None = None
    role: Role | None = None
    kid: str | None = None
    user_id: str | None = None
    client_ip: str | None = None
    request_id: str | None = None

    def may(self, scope: Scope) -> bool:
        """Whether the actor has this permission."""
        return scope in self.scopes


def key_actor(context: Context) -> Actor:
    """The actor of a request that passed the gate with an API key."""
    decision = context.decision
    assert decision is not None
    assert decision.credential is not None
    assert decision.tenant is not None
    record = decision.credential.record
    return Actor(
        type="api_key",
        id=record.key_id,
        name=record.name,
        tenant_id=decision.tenant.id,
        scopes=record.scopes,
        environment=Environment(record.environment),
        kid=record.kid,
        client_ip=context.client_ip,
        request_id=context.request_id,
    )


def user_actor(signed_in: SignedIn, context: Context) -> Actor:
    """The actor of a page: who is signed in, in the tenant that their session looks at.

    Raises ``insufficient_scope`` for who is in no tenant.
    """
    if signed_in.tenant_id is None or signed_in.role is None:
        raise DomainError(Code.INSUFFICIENT_SCOPE, "You are in no tenant yet. Ask to be invited to one.")
    return Actor(
        type="user",
        id=signed_in.user_id,
        name=signed_in.email,
        tenant_id=signed_in.tenant_id,
        scopes=ROLE_SCOPES[signed_in.role],
        role=signed_in.role,
        client_ip=context.client_ip,
        request_id=context.request_id,
    )


def operator(command: str, tenant_id: str) -> Actor:
    """The operator at the command line, straight on the database."""
    return Actor(type="operator", id=None, name=f"aitbc admin {command}", tenant_id=tenant_id, scopes=frozenset(Scope))
