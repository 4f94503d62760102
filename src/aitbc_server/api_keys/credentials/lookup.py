"""The one query behind a key that is not cached: the key, its tenant and plan, its grants.

It gives a row whether the kid is known or not, and its values come as the driver has them: turning them into
objects is left until the secret was found right, so that an unknown kid and a wrong secret take the same time.
(ASVS 6.3.8, 11.2.4)
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Row,
    Select,
    String,
    Text,
    bindparam,
    cast,
    literal,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from aitbc_server.api_keys.credentials.matching import StoredSecrets
from aitbc_server.api_keys.model import ApiKeyGrantRow, ApiKeyRow
from aitbc_server.clock import from_ms
from aitbc_server.db.engine import Database
from aitbc_server.db.point_reads import PointQuery
from aitbc_server.db.types import TimestampColumn
from aitbc_server.gate.records import TenantRecord, tenant_record
from aitbc_server.tenants.model import PlanRow, TenantRow

_KEY_COLUMNS = tuple(ApiKeyRow.__mapper__.column_attrs)
_TIMES = frozenset(each.key for each in _KEY_COLUMNS if isinstance(each.columns[0].type, TimestampColumn))
_JSON = frozenset(each.key for each in _KEY_COLUMNS if isinstance(each.columns[0].type, JSON))


class Found:
    """The answer: a key's stored secrets at once, everything else where it is asked for."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Sequence[Row[Any]]) -> None:
        self._rows = rows

    @property
    def kid(self) -> str:
        """The key's kid, where there is such a key."""
        return str(self._rows[0].kid)

    @property
    def lookups(self) -> set[bytes]:
        """Under which digests a foreign key is found."""
        return {each for each in (self._rows[0].lookup, self._rows[0].previous_lookup) if each is not None}

    @property
    def stored_secrets(self) -> StoredSecrets | None:
        """What the presented secret is compared with; None where there is no such key."""
        # Read in either case: leaving that out for an unknown kid would show in the time.
        stored = StoredSecrets.of(self._rows[0])
        return None if self._rows[0].kid is None else stored

    def key(self) -> ApiKeyRow:
        """The key, as a model that belongs to no session."""
        row = self._rows[0]
        return ApiKeyRow(**{each.key: _decoded(each.key, getattr(row, each.key)) for each in _KEY_COLUMNS})

    def tenant(self) -> TenantRecord:
        """The key's own tenant."""
        return _tenant(self._rows[0], "home")

    def granted(self) -> list[TenantRecord]:
        """The further tenants that it may act for."""
        return [_tenant(row, "granted") for row in self._rows if row.granted_id is not None]


async def find_by_kid(database: Database, kid: str) -> Found:
    """Look for a key of our format."""
    return Found(await database.ask(_BY_KID, {"wanted_kid": kid}))


async def find_by_lookup(session: AsyncSession, lookups: Sequence[bytes]) -> Found:
    """Look for a foreign key by the digests that it may be stored under."""
    return Found((await session.execute(_BY_LOOKUP, {"lookups": list(lookups)})).all())


async def find_all(session: AsyncSession, kids: Sequence[str], lookups: Sequence[bytes]) -> list[Found]:
    """Look for many keys at once; those that are not there are left out."""
    rows: list[Row[Any]] = []
    for query, parameters in ((_BY_KIDS, {"wanted_kids": list(kids)}), (_BY_LOOKUP, {"lookups": list(lookups)})):
        if next(iter(parameters.values())):
            rows += (await session.execute(query, parameters)).all()
    by_kid: dict[str, list[Row[Any]]] = {}
    for row in rows:
        if row.kid is not None:
            by_kid.setdefault(row.kid, []).append(row)
    return [Found(each) for each in by_kid.values()]


def _decoded(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _JSON:
        return msgspec.json.decode(value)
    return from_ms(value) if name in _TIMES else value


def _tenant(row: Row[Any], label: str) -> TenantRecord:
    return tenant_record(
        getattr(row, f"{label}_id"),
        getattr(row, f"{label}_name"),
        # One text for all the tenants on a plan.
        sys.intern(getattr(row, f"{label}_plan")),
        getattr(row, f"{label}_limit"),
        suspended=getattr(row, f"{label}_suspended_at") is not None,
    )


def _undecoded(name: str) -> ColumnElement[Any]:
    column = getattr(ApiKeyRow, name)
    if name in _JSON:
        # As text on every database: one of the drivers parses JSON columns by itself.
        return cast(column, Text).label(name)
    return (type_coerce(column, BigInteger) if name in _TIMES else column).label(name)


def _tenant_columns(tenant: Any, plan: Any, label: str) -> list[ColumnElement[Any]]:
    return [
        tenant.id.label(f"{label}_id"),
        tenant.name.label(f"{label}_name"),
        plan.id.label(f"{label}_plan"),
        plan.limit_per_minute.label(f"{label}_limit"),
        type_coerce(tenant.suspended_at, BigInteger).label(f"{label}_suspended_at"),
    ]


def _query(condition: ColumnElement[bool]) -> Select[Any]:
    home, home_plan = aliased(TenantRow, name="home"), aliased(PlanRow, name="home_plan")
    granted, granted_plan = aliased(TenantRow, name="granted"), aliased(PlanRow, name="granted_plan")
    one = select(literal(1).label("one")).subquery("one")
    return (
        select(
            *(_undecoded(each.key) for each in _KEY_COLUMNS),
            *_tenant_columns(home, home_plan, "home"),
            *_tenant_columns(granted, granted_plan, "granted"),
        )
        .select_from(one)
        .outerjoin(ApiKeyRow, condition)
        .outerjoin(home, home.id == ApiKeyRow.tenant_id)
        .outerjoin(home_plan, home_plan.id == home.plan_id)
        .outerjoin(ApiKeyGrantRow, ApiKeyGrantRow.kid == ApiKeyRow.kid)
        .outerjoin(granted, granted.id == ApiKeyGrantRow.tenant_id)
        .outerjoin(granted_plan, granted_plan.id == granted.plan_id)
    )


# Asked for each key that is not cached, in use or guessed.
_BY_KID = PointQuery(_query(ApiKeyRow.kid == bindparam("wanted_kid", type_=String)))
_BY_KIDS = _query(ApiKeyRow.kid.in_(bindparam("wanted_kids", expanding=True)))
_BY_LOOKUP = _query(
    or_(
        ApiKeyRow.lookup.in_(bindparam("lookups", expanding=True)),
        ApiKeyRow.previous_lookup.in_(bindparam("lookups", expanding=True)),
    )
)
