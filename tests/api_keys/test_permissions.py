"""The rules by themselves: they hold also for who does not come through the gate, and for what nobody expects."""

from __future__ import annotations

import pytest
from tests.api_keys.people import People

from aitbc.schemas.api_keys import CreateApiKey, RegenerateApiKey, UpdateApiKey
from aitbc.schemas.scopes import Scope
from aitbc_server.actor import Actor
from aitbc_server.api_keys import permissions
from aitbc_server.api_keys.service import ApiKeyService
from aitbc_server.errors import Code, DomainError
from aitbc_server.users.roles import ROLE_SCOPES, Role


def person(role: Role, user_id: str = "usr_1") -> Actor:
    return Actor(type="user", id=user_id, name=None, tenant_id="acme", scopes=ROLE_SCOPES[role], role=role)


def acting(people: People, *scopes: Scope, kid: str | None = None) -> Actor:
    return Actor(
        type="user" if kid is None else "api_key",
        id="usr_1" if kid is None else f"key_{kid}",
        name="somebody",
        tenant_id="acme",
        scopes=frozenset(scopes),
        kid=kid,
    )


async def test_the_service_trusts_no_gate(service: ApiKeyService, people: People) -> None:
    """ASVS 8.3.1: without a scope, and not being the key itself, every call is refused by the service too."""
    nobody, target = acting(people), people.member.id
    for call in (
        service.list(nobody),
        service.get(nobody, target),
        service.create(nobody, CreateApiKey(name="a")),
        service.update(nobody, target, UpdateApiKey(enabled=False)),
        service.regenerate(nobody, target, RegenerateApiKey()),
        service.revoke(nobody, target),
    ):
        with pytest.raises(DomainError) as raised:
            await call
        assert raised.value.code is Code.INSUFFICIENT_SCOPE


async def test_no_key_changes_itself_whoever_asks(service: ApiKeyService, people: People) -> None:
    """Design 4, also where the gate is not asked."""
    itself = acting(people, *Scope, kid=people.manager.kid)
    with pytest.raises(DomainError, match="cannot change itself"):
        await service.update(itself, people.manager.id, UpdateApiKey(enabled=False))


async def test_a_person_sees_both_environments(service: ApiKeyService, people: People) -> None:
    """People choose an environment with the filter; without one they see both, of their tenant alone."""
    person = acting(people, *Scope)
    shown = {key.id for key in (await service.list(person)).items}
    assert shown == {key.id for key in people} - {people.stranger.id, people.strangers_member.id}
    assert (await service.get(person, people.test_member.id)).environment == "test"
    made = await service.create(person, CreateApiKey(name="a"))
    assert (made.environment, made.created_by) == ("live", "usr_1")


def test_a_scope_that_is_not_known_here_denies(people: People) -> None:
    """After a downgrade the database may hold scopes of a later release: nobody has those."""
    with pytest.raises(DomainError) as raised:
        permissions.check_within(acting(people, *Scope), ["jobs:read", "jobs:of-the-future"])
    assert raised.value.code is Code.INSUFFICIENT_SCOPE


@pytest.mark.parametrize(
    ("role", "own", "others"),
    [(Role.OWNER, True, True), (Role.ADMIN, True, True), (Role.DEVELOPER, True, False), (Role.VIEWER, False, False)],
)
async def test_whose_keys_a_role_manages(
    service: ApiKeyService, people: People, role: Role, own: bool, others: bool
) -> None:
    """ASVS 8.2.2: a developer's own are those that they created; what the pages ask in advance is the same rule."""
    mine = await service.create(person(Role.OWNER, "usr_1"), CreateApiKey(name="mine"))
    theirs = await service.create(person(Role.OWNER, "usr_2"), CreateApiKey(name="theirs"))
    for key, allowed in ((mine, own), (theirs, others)):
        actor = person(role)
        assert permissions.may_manage(actor, key.created_by) is allowed
        for call in (
            service.get_to_manage(actor, key.id),
            service.update(actor, key.id, UpdateApiKey(name="renamed")),
            service.regenerate(actor, key.id, RegenerateApiKey()),
            service.revoke(actor, key.id),
        ):
            if allowed:
                assert (await call).id == key.id
                continue
            with pytest.raises(DomainError) as raised:
                await call
            assert raised.value.code is Code.INSUFFICIENT_SCOPE


@pytest.mark.parametrize("role", Role)
def test_what_a_role_gives_to_keys(people: People, role: Role) -> None:
    """ASVS 8.2.3: no more than the role has; owners and admins let a service check their tenant's keys, too."""
    given = permissions.grantable(person(role))
    assert (Scope.API_KEYS_VERIFY in given) is (role in {Role.OWNER, Role.ADMIN})
    # A developer's key that manages keys would manage everybody's: a key has no keys of its own.
    kept = {Scope.API_KEYS_WRITE} if role is Role.DEVELOPER else set()
    assert given - {Scope.API_KEYS_VERIFY} == ROLE_SCOPES[role] - kept
    # A key that has every scope of an owner is no owner.
    assert Scope.API_KEYS_VERIFY not in permissions.grantable(acting(people, *ROLE_SCOPES[role], kid="0"))


async def test_a_secret_is_replaced_once(service: ApiKeyService, people: People) -> None:
    """Whoever says which secret is to be replaced replaces no other one."""
    owner = person(Role.OWNER)
    made = await service.create(owner, CreateApiKey(name="a"))
    other = made.secret_created_at.replace(year=2000)
    with pytest.raises(DomainError) as raised:
        await service.regenerate(owner, made.id, RegenerateApiKey(), replaces=other)
    assert raised.value.code is Code.CONFLICT
    again = await service.regenerate(owner, made.id, RegenerateApiKey(), replaces=made.secret_created_at)
    assert again.key != made.key
