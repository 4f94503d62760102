"""What roles allow."""

from __future__ import annotations

from aitbc.schemas.scopes import PRESET_SCOPES, Preset, Scope
from aitbc_server.users.roles import ROLE_SCOPES, Role


def test_every_role_has_its_scopes_and_a_lesser_role_no_more() -> None:
    """ASVS 8.1.1: each role may what the next one down may, and nobody on a page checks keys for other services."""
    assert list(ROLE_SCOPES) == list(Role)
    for mightier, lesser in zip(list(Role), list(Role)[1:], strict=False):
        assert ROLE_SCOPES[lesser] <= ROLE_SCOPES[mightier]
    assert not any(Scope.API_KEYS_VERIFY in scopes for scopes in ROLE_SCOPES.values())


def test_who_may_what() -> None:
    """Owners and admins may what a manager key may; developers no more than work; viewers see."""
    assert ROLE_SCOPES[Role.OWNER] == ROLE_SCOPES[Role.ADMIN] == PRESET_SCOPES[Preset.MANAGER]
    assert Scope.MEMBERS_WRITE not in ROLE_SCOPES[Role.DEVELOPER]
    assert PRESET_SCOPES[Preset.CLIENT] | PRESET_SCOPES[Preset.MINER] <= ROLE_SCOPES[Role.DEVELOPER]
    assert ROLE_SCOPES[Role.VIEWER] == {scope for scope in Scope if scope.value.endswith(":read")}
