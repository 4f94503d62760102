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
