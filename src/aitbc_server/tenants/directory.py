"""What operators see of the installation: its tenants and its people."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from aitbc.schemas.tenants import Plan
from aitbc_server.clock import Timestamp, from_ms, now, to_ms
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.errors import not_found
from aitbc_server.json_limits import check_text
from aitbc_server.tenants import repository
from aitbc_server.tenants.repository import Listed
from aitbc_server.users.model import UserRow

#: So many are shown; beyond that one searches.
SHOWN = 50

_LATELY = timedelta(days=1)


class TenantEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant in the list. ``keys`` are those that are not revoked."""

    id: str
    name: str
    plan: Plan
    suspended: bool
    created_at: Timestamp
    keys: int
    members: int


class KeysInUse(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a tenant that work: how many, how many of them were used within a day, and when one was last."""

    working: int
    used_lately: int
    last_used_at: Timestamp | None


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A person in the list. ``role`` is theirs in the tenant shown.

    ``status``: active, disabled, invited (an operator's link waits for them), or unconfirmed (they signed up, and have
    not followed the link that was mailed to them).
    """

    id: str
    email: str
    name: str
    status: str
    is_operator: bool
    created_at: Timestamp
    role: str | None = None


class Directory:
    """Lists for operators; whoever asks has been found to be one. Raises ``not_found``."""

    def __init__(self, units: UnitsOfWork) -> None:
        self._units = units

    async def tenants(self, text: str = "") -> tuple[list[TenantEntry], bool]:
        """The newest tenants with ``text`` in their id or name, and whether there are more.

        Raises ``validation_error`` on ``q`` for text that no database holds.
        """
        check_text("q", text)
        async with self._units.read() as session:
            found = [_entry(each) for each in await repository.search_tenants(session, text, SHOWN + 1)]
        return found[:SHOWN], len(found) > SHOWN

    async def tenant(self, tenant_id: str) -> tuple[TenantEntry, list[Person]]:
        """One tenant, and who is in it."""
        async with self._units.read() as session:
            found = await repository.listed_tenant(session, tenant_id)
            if found is None:
                raise not_found()
            return _entry(found), [_person(row, role) for row, role in await repository.members(session, tenant_id)]

    async def keys_in_use(self, tenant_id: str) -> KeysInUse:
        """What programs of a tenant depend on at this moment."""
        at = now(self._units.clock)
        async with self._units.read() as session:
            found = await repository.keys_in_use(session, tenant_id, at, from_ms(to_ms(at - _LATELY)))
        return KeysInUse(working=found[0], used_lately=found[1], last_used_at=found[2])

    async def people(self, text: str = "") -> tuple[list[Person], bool]:
        """The newest people with ``text`` in their address or name, and whether there are more; raises likewise."""
        check_text("q", text)
        async with self._units.read() as session:
            found = [
                _person(row, has_invitation=invited)
                for row, invited in await repository.search_users(session, text, SHOWN + 1)
            ]
        return found[:SHOWN], len(found) > SHOWN


def _entry(listed: Listed) -> TenantEntry:
    row, plan = listed.tenant, listed.plan
    return TenantEntry(
        id=row.id,
        name=row.name,
        plan=Plan(id=plan.id, name=plan.name, limit_per_minute=plan.limit_per_minute),
        suspended=row.suspended_at is not None,
        created_at=row.created_at,
        keys=listed.keys,
        members=listed.members,
    )


def _person(row: UserRow, role: str | None = None, *, has_invitation: bool = False) -> Person:
    begun = "invited" if has_invitation else "unconfirmed"
    status = begun if row.verified_at is None else "active"
    return Person(
        id=row.id,
        email=row.email,
        name=row.name,
        status="disabled" if row.disabled_at is not None else status,
        is_operator=row.is_operator,
        created_at=row.created_at,
        role=role,
    )
