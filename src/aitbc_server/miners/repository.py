"""Queries on miners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    Update,
    bindparam,
    cast,
    delete,
    exists,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc.schemas.miners import Heartbeat
from aitbc_server.clock import Timestamp
from aitbc_server.jobs.model import RUNNING, JobRow
from aitbc_server.miners.model import MinerRow

#: A key and its miner_id: what a miner is.
MinerName = tuple[str, str]

#: A place in the list: registered_at, kid and miner_id of the last miner that was shown.
Place = tuple[Timestamp, str, str]


class Beat(NamedTuple):
    """A heartbeat, and when it came."""

    at: Timestamp
    said: Heartbeat


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
    session: AsyncSession,
    tenant_id: str,
    environment: str | None,
    *,
    before: Place | None,
    limit: int,
    conditions: Iterable[ColumnElement[bool]] = (),
) -> Sequence[MinerRow]:
    """A tenant's miners, the most recently registered first; ``limit`` + 1 at most."""
    order = (MinerRow.registered_at, MinerRow.kid, MinerRow.miner_id)
    query = select(MinerRow).where(MinerRow.tenant_id == tenant_id, *conditions)
    if environment is not None:
        query = query.where(MinerRow.environment == environment)
    if before is not None:
        last = (literal(before[0], MinerRow.registered_at.type), literal(before[1]), literal(before[2]))
        query = query.where(tuple_(*order) < tuple_(*last))
    newest_first = query.order_by(*(column.desc() for column in order))
    return (await session.scalars(newest_first.limit(limit + 1))).all()


def offers(environment: str, tenant_id: str | None, since: Timestamp) -> Select[str, str | None]:
    """What the miners that were seen since then said of themselves, as text, and their regions.

    ``tenant_id`` None: those of all tenants.
    """
    query = select(cast(MinerRow.capabilities, Text).label("capabilities"), MinerRow.region)
    query = query.where(MinerRow.environment == environment, seen_since(since))
    return query if tenant_id is None else query.where(MinerRow.tenant_id == tenant_id)


def seen_since(at: Timestamp) -> ColumnElement[bool]:
    """Whether the miner was last seen then or later."""
    return MinerRow.last_seen_at >= at


def named_like(text: str) -> ColumnElement[bool]:
    """Whether the text stands in the miner's id or its region, in capitals or not."""
    found = [column.icontains(text, autoescape=True) for column in (MinerRow.miner_id, MinerRow.region)]
    return or_(*found)


async def unseen_since(session: AsyncSession, before: Timestamp, *, limit: int) -> Sequence[MinerName]:
    """Miners that were last seen before then and run no job."""
    query = select(MinerRow.kid, MinerRow.miner_id).where(MinerRow.last_seen_at < before, ~_RUNS_A_JOB).limit(limit)
    return [(row.kid, row.miner_id) for row in await session.execute(query)]


async def delete_unseen(session: AsyncSession, names: Sequence[MinerName], before: Timestamp) -> None:
    """Delete those of them that were not seen in the meantime either."""
    unseen = delete(MinerRow).where(tuple_(MinerRow.kid, MinerRow.miner_id).in_(names), MinerRow.last_seen_at < before)
    await session.execute(unseen.execution_options(synchronize_session=False))


async def write_seen(session: AsyncSession, seen: Mapping[MinerName, Timestamp]) -> None:
    """Write when miners were last heard of, where nothing later is known."""
    rows = [{"of_kid": kid, "of_miner_id": miner_id, "at": at} for (kid, miner_id), at in sorted(seen.items())]
    await _execute_each(session, _SEEN, rows)


async def write_beats(session: AsyncSession, beats: Mapping[MinerName, Beat]) -> None:
    """Write what miners said of themselves, where they did not register anew since."""
    rows = [
        {
            "of_kid": kid,
            "of_miner_id": miner_id,
            "at": beat.at,
            "inflight": beat.said.inflight,
            "status": beat.said.status,
            "status_metadata": beat.said.metadata,
        }
        for (kid, miner_id), beat in sorted(beats.items())
    ]
    await _execute_each(session, _BEAT, rows)


async def _execute_each(session: AsyncSession, statement: Update, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        # By the connection: the session would want each row's primary key alone to choose it.
        await (await session.connection()).execute(statement, rows)


_RUNS_A_JOB = exists().where(RUNNING, JobRow.miner_kid == MinerRow.kid, JobRow.miner_id == MinerRow.miner_id)

_AT = bindparam("at", type_=MinerRow.last_seen_at.type)
_OF_MINER = update(MinerRow).where(MinerRow.kid == bindparam("of_kid"), MinerRow.miner_id == bindparam("of_miner_id"))
_SEEN = _OF_MINER.where(MinerRow.last_seen_at < _AT).values(last_seen_at=_AT)
_BEAT = _OF_MINER.where(MinerRow.registered_at <= _AT).values(
    inflight=bindparam("inflight"), status=bindparam("status"), status_metadata=bindparam("status_metadata")
)
