"""Who may do what to a key (design section 4), as plain questions on the actor and the key.

What a key may do to itself (see, regenerate, revoke; not change) is decided in the gate, which knows whether the
current or the previous secret was presented. The rules here hold for whoever gets that far. (ASVS 8.2.2, 8.3.1)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from aitbc.schemas.scopes import Environment, Scope
from aitbc_server.actor import Actor
from aitbc_server.api_keys.model import ApiKeyRow
from aitbc_server.errors import Code, DomainError, insufficient_scope, not_found
from aitbc_server.users.roles import Role


def is_own(actor: Actor, row: ApiKeyRow) -> bool:
    """Whether the acting key is this very key, for whatever tenant it acts."""
    return actor.kid is not None and actor.kid == row.kid


def visible(actor: Actor, row: ApiKeyRow | None) -> ApiKeyRow:
    """The key, if the actor may know of it: its own, or one of the tenant and environment that it acts in.

    Raises ``not_found`` for every other key, and for none at all: the same bytes.
    """
    if row is None:
        raise not_found()
    in_sight = row.tenant_id == actor.tenant_id and actor.environment in {None, row.environment}
    if not is_own(actor, row) and not in_sight:
        raise not_found()
    return row


def check_may(actor: Actor, scope: Scope, row: ApiKeyRow) -> None:
    """The actor has ``scope``, or the key is its own."""
    if not is_own(actor, row) and not actor.may(scope):
        raise insufficient_scope(scope)


def check_manages(actor: Actor, row: ApiKeyRow) -> None:
    """The actor may change, regenerate or revoke this key: its own, or with ``api_keys:write`` any but others'.

    A developer manages the keys that they made themselves, and no others (ASVS 8.2.2).
    """
    check_may(actor, Scope.API_KEYS_WRITE, row)
    if actor.role is Role.DEVELOPER and not is_own(actor, row) and row.created_by != (actor.user_id or actor.id):
        raise DomainError(
            Code.INSUFFICIENT_SCOPE,
            "As a developer you manage the API keys that you created, and no others. Ask an owner or an admin.",
        )


def may_manage(actor: Actor, created_by: str | None) -> bool:
    """The same of a key by who made it, for pages that show only what works."""
    return actor.may(Scope.API_KEYS_WRITE) and (actor.role is not Role.DEVELOPER or created_by == actor.id)


def grantable(actor: Actor) -> frozenset[str]:
    """The scopes that the actor may give to keys: their own, nobody hands out more than they have.

    Owners and admins do not check keys themselves, yet they decide which of their services may: they give
    ``api_keys:verify`` too, for the keys of their tenant. Developers do not give ``api_keys:write``: a key that has it
    manages every key of its tenant, unless it stands for a person, and developers manage their own alone.
    """
    if actor.kid is None and actor.role in {Role.OWNER, Role.ADMIN}:
        return actor.scopes | {Scope.API_KEYS_VERIFY}
    if actor.role is Role.DEVELOPER:
        return actor.scopes - {Scope.API_KEYS_WRITE}
    return actor.scopes


def stands_for(actor: Actor, row: ApiKeyRow) -> bool:
    """Whether the key is the actor's own, or stands for the same person: it can do no more than they may."""
    return is_own(actor, row) or (row.user_id is not None and row.user_id in {actor.id, actor.user_id})


def check_not_own(actor: Actor, row: ApiKeyRow) -> None:
    """No key changes itself, whatever its scopes: a stolen one could lift its own expiry and addresses."""
    if is_own(actor, row):
        raise DomainError(Code.INSUFFICIENT_SCOPE, "An API key cannot change itself.")


def check_within(actor: Actor, scopes: Iterable[str]) -> None:
    """The actor may give all of ``scopes``: nobody hands out, or takes over, more than they may.

    Raises ``insufficient_scope`` that names the first that is missing, and says why it is needed.
    """
    missing = frozenset(scopes) - grantable(actor)
    for scope in Scope:
        if scope in missing and actor.role is not None and (actor.kid is None or scope in actor.scopes):
            raise DomainError(
                Code.INSUFFICIENT_SCOPE, f"Your role here is {actor.role}, which gives no API key the scope {scope}."
            )
        if scope in missing:
            raise DomainError(
                Code.INSUFFICIENT_SCOPE,
                "An API key makes and manages only keys whose scopes are within its own, and the one in use does not "
                f"have the scope {scope}.",
            )
    if missing:
        # A scope of a later release, in the database after a downgrade: unknown denies.
        raise DomainError(Code.INSUFFICIENT_SCOPE, "The API key has a scope that is not known here.")


def check_reaches_no_further(
    actor: Actor, row: ApiKeyRow, granted: Collection[str], own_tenants: Collection[str]
) -> None:
    """Whoever regenerates a key gets its secret; whoever changes it decides what its holder may do everywhere.

    So the key's further tenants must be the actor's too, and a key that checks every tenant's keys is the operator's:
    a manager of one tenant must not give its keys power over another. (ASVS 8.3.3, 8.4.1)
    """
    if is_own(actor, row) or actor.type == "operator":
        return
    if row.verifies_all:
        raise DomainError(
            Code.INSUFFICIENT_SCOPE, "Only an operator can change or regenerate a key that checks all tenants' keys."
        )
    foreign = sorted(set(granted) - set(own_tenants))
    if foreign:
        raise DomainError(
            Code.INSUFFICIENT_SCOPE,
            f"This API key may also act for the tenant {foreign[0]}, which yours may not: only an operator can "
            "change or regenerate it.",
        )


def environment_for(actor: Actor, wanted: Environment | None) -> Environment:
    """In which environment the actor makes a key. Raises ``insufficient_scope`` for another than its own."""
    if actor.environment is None:
        return wanted or Environment.LIVE
    if wanted not in {None, actor.environment}:
        raise DomainError(
            Code.INSUFFICIENT_SCOPE,
            f"A {actor.environment} key makes {actor.environment} keys only. Leave environment out, or use a {wanted} "
            "key.",
        )
    return actor.environment
