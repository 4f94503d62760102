"""What a person may do in a tenant: one table, from role to scopes (ASVS 8.1.1)."""

from __future__ import annotations

from enum import StrEnum

from aitbc.schemas.scopes import Scope


class Role(StrEnum):
    """What a person is in a tenant, the mightiest first."""

    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"


# Written out rather than computed from Scope: a scope added later must not slip into a role by itself.
_ALL_BUT_VERIFY = frozenset(
    {
        Scope.JOBS_READ,
        Scope.JOBS_WRITE,
        Scope.MINERS_READ,
        Scope.MINERS_WORK,
        Scope.API_KEYS_READ,
        Scope.API_KEYS_WRITE,
        Scope.USAGE_READ,
        Scope.AUDIT_READ,
        Scope.MEMBERS_READ,
        Scope.MEMBERS_WRITE,
    }
)

#: Developers have ``api_keys:write`` for the keys that they made themselves: api_keys/permissions.py sees to that.
ROLE_SCOPES: dict[Role, frozenset[Scope]] = {
    Role.OWNER: _ALL_BUT_VERIFY,
    Role.ADMIN: _ALL_BUT_VERIFY,
    Role.DEVELOPER: frozenset(
        {
            Scope.JOBS_READ,
            Scope.JOBS_WRITE,
            Scope.MINERS_READ,
            Scope.MINERS_WORK,
            Scope.API_KEYS_READ,
            Scope.API_KEYS_WRITE,
            Scope.USAGE_READ,
            Scope.AUDIT_READ,
            Scope.MEMBERS_READ,
        }
    ),
    Role.VIEWER: frozenset(
        {
            Scope.JOBS_READ,
            Scope.MINERS_READ,
            Scope.API_KEYS_READ,
            Scope.USAGE_READ,
            Scope.AUDIT_READ,
            Scope.MEMBERS_READ,
        }
    ),
}
