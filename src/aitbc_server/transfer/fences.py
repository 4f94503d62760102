"""New fences for every tenant: no node goes on believing what it read from a database that is not the same any more."""

from __future__ import annotations

from sqlalchemy import select

from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.tenants.model import TenantRow

_PORTION = 1000


async def renew(units: UnitsOfWork) -> int:
    """Make every tenant's cached records stale, on every node; how many tenants. ``Fences`` know if it is confirmed."""
    last, renewed = "", 0
    while True:
        async with units.begin() as unit:
            query = select(TenantRow.id).where(TenantRow.id > last).order_by(TenantRow.id).limit(_PORTION)
            ids = (await unit.session.scalars(query)).all()
            if not ids:
                return renewed
            unit.makes_stale(*ids)
            await unit.commit()
        last, renewed = ids[-1], renewed + len(ids)
