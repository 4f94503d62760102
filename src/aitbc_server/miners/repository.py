"""Queries on miners."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.clock import Timestamp
from aitbc_server.miners.model import MinerRow

#: A place in the list: registered_at, kid and miner_id of the last miner that was shown.
Place = tuple[Timestamp, str, str]


async def get(session: AsyncSession, kid: str, miner_id: str, *, for_update: bool = False) -> MinerRow | None:
    """The key's miner of this id."""
    query = select(MinerRow).where(MinerRow.kid == kid, MinerRow.miner_id == miner_id)
    return (await session.scalars(query.with_for_update() if for_update else query)).one_or_none()


async def latest(session: AsyncSession, kid: str) -> MinerRow | None:
    """The key's most recently registered miner."""
    query = (
        select(MinerRow).where(MinerRow.kid == kid).order_by(MinerRow.registered_at.desc(), MinerRow.miner_id.desc())
    )
    return (await session.scalars(query.limit(1))).one_or_none()


async def page(
    session: AsyncSession, tenant_id: str, environment: str | None, *, before: Place | None, limit: int
) -> Sequence[MinerRow]:
    """A tenant's miners, the most recently registered first; ``limit`` + 1 at most."""
    order = (MinerRow.registered_at, MinerRow.kid, MinerRow.miner_id)
    query = select(MinerRow).where(MinerRow.tenant_id == tenant_id)
    if environment is not None:
        query = query.where(MinerRow.environment == environment)
    if before is not None:
        last = (literal(before[0], MinerRow.registered_at.type), literal(before[1]), literal(before[2]))
        query = query.where(tuple_(*order) < tuple_(*last))
    newest_first = query.order_by(*(column.desc() for column in order))
    return (await session.scalars(newest_first.limit(limit + 1))).all()
