"""Which jobs a miner leaves to others: those of a type that it does not run, and that somebody who is online does.

A miner that says which types it runs would fail any other job, for good. It still does where nobody else is there: an
answer that says what is missing is better than none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.clock import Timestamp, from_ms, to_ms
from aitbc_server.jobs import leases
from aitbc_server.jobs.matching import matches, named_types
from aitbc_server.jobs.waiting import Offer, Seeker
from aitbc_server.miners import repository, views

#: Live miners of all tenants are many, and no index holds those that are online: they are looked over this often.
_KNOWN_FOR = timedelta(seconds=2)
_REMEMBERED_JOBS = 10_000


class _Miner(NamedTuple):
    types: frozenset[str]
    capabilities: Mapping[str, Any]
    region: str | None


class Others:
    """What the miners beside the one that asks run. Who names no types costs nothing here."""

    def __init__(self) -> None:
        # A job's type never changes: it is read once, as a payload may have a MiB.
        self._types: dict[str, str | None] = {}
        self._live: list[_Miner] = []
        self._live_at: Timestamp | None = None

    async def better_suited(
        self, session: AsyncSession, seeker: Seeker, offers: Sequence[Offer], at: Timestamp
    ) -> set[str]:
        """The ids of those of the jobs that the miner leaves to others."""
        own = named_types(seeker.capabilities)
        if not own or not offers:
            return set()
        types = await self._types_of(session, [offer.job_id for offer in offers])
        foreign = [(offer, types[offer.job_id]) for offer in offers if types[offer.job_id] not in {None, *own}]
        if not foreign:
            return set()
        online = await self._online(session, seeker, at)
        return {offer.job_id for offer, job_type in foreign if any(_runs(miner, job_type, offer) for miner in online)}

    async def _types_of(self, session: AsyncSession, job_ids: Sequence[str]) -> Mapping[str, str | None]:
        known = {job_id: self._types[job_id] for job_id in job_ids if job_id in self._types}
        missing = [job_id for job_id in job_ids if job_id not in known]
        if missing:
            read = dict.fromkeys(missing) | {row.id: row.type for row in await session.execute(leases.types(missing))}
            self._types |= read
            for job_id in list(self._types)[: max(0, len(self._types) - _REMEMBERED_JOBS)]:
                del self._types[job_id]
            known |= read
        return known

    async def _online(self, session: AsyncSession, seeker: Seeker, at: Timestamp) -> list[_Miner]:
        if seeker.only_its_tenant:
            return await _miners(session, seeker.environment, seeker.tenant_id, at)
        if self._live_at is None or not timedelta() <= at - self._live_at < _KNOWN_FOR:
            self._live, self._live_at = await _miners(session, seeker.environment, None, at), at
        return self._live


async def _miners(session: AsyncSession, environment: str, tenant_id: str | None, at: Timestamp) -> list[_Miner]:
    """Those that are online and name types, each kind once."""
    since = from_ms(to_ms(at - views.ONLINE_FOR))
    rows = await session.execute(repository.offers(environment, tenant_id, since))
    miners = []
    for text, region in {(row.capabilities, row.region) for row in rows}:
        capabilities = json.loads(text)
        if types := named_types(capabilities):
            miners.append(_Miner(types, capabilities, region))
    return miners


def _runs(miner: _Miner, job_type: str | None, offer: Offer) -> bool:
    return job_type in miner.types and matches(offer.constraints, miner.capabilities, miner.region)
