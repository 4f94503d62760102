"""Which miner a call means, and that it was heard of."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.actor import Actor
from aitbc_server.clock import Timestamp, from_ms, to_ms
from aitbc_server.errors import Code, DomainError
from aitbc_server.jobs import leases
from aitbc_server.miners import repository
from aitbc_server.miners.model import MinerRow


async def registered(
    session: AsyncSession, actor: Actor, miner_id: str | None, *, for_update: bool = False
) -> MinerRow:
    """The acting key's miner: the named one, else the one that it registered last.

    A miner belongs to the tenant that its key acted for when it registered. Raises ``not_found`` that says what
    to do for a miner that is not registered.
    """
    kid = actor.kid or ""
    if miner_id is None:
        row = await repository.latest(session, kid)
        miner_id = row.miner_id if row is not None else None
    row = await repository.get(session, kid, miner_id, for_update=for_update) if miner_id is not None else None
    if row is None or row.tenant_id != actor.tenant_id:
        raise _not_registered(miner_id)
    return row


async def seen(session: AsyncSession, row: MinerRow, at: Timestamp, lease_s: float) -> None:
    """The miner gave a sign of life: it is online, and its leases last for another ``lease_s``."""
    row.last_seen_at = at
    await leases.extend(session, row.kid, row.miner_id, at, lease_end(at, lease_s))


def lease_end(at: Timestamp, lease_s: float) -> Timestamp:
    """When a lease that is given or renewed now lapses."""
    return from_ms(to_ms(at + timedelta(seconds=lease_s)))


def _not_registered(miner_id: str | None) -> DomainError:
    which = "No miner" if miner_id is None else f"The miner {miner_id!r}"
    negation = "" if miner_id is None else " not"
    return DomainError(
        Code.NOT_FOUND, f"{which} is{negation} registered with this API key. Call POST /v1/miners/register first."
    )
