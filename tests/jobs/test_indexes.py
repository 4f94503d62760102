"""The queries that run all the time use an index, whatever the history holds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from tests.jobs.market import Market

from aitbc.schemas.jobs import JobState
from aitbc_server.clock import Timestamp, from_ms, to_ms
from aitbc_server.jobs import leases, sweeper
from aitbc_server.jobs.model import JobRow
from aitbc_server.jobs.waiting import Seeker
from aitbc_server.miners import repository
from aitbc_server.miners.model import MinerRow

AT: Timestamp = from_ms(1_795_499_190_000)


def seeker(environment: str) -> Seeker:
    """A miner of acme."""
    return Seeker("0123456789ab", "rig", environment, "acme", {}, None, 1)


_LIST = select(JobRow).where(JobRow.tenant_id == "acme", JobRow.environment == "live")
_MINERS = select(MinerRow).where(MinerRow.tenant_id == "acme", MinerRow.environment == "live")

QUERIES: list[tuple[str, Any]] = [
    ("ix_jobs_queue", leases.queue_page(seeker("live"), AT, None)),
    ("ix_jobs_queue", leases.queue_page(seeker("live"), AT, (AT, "job_1"))),
    ("ix_jobs_tenant_queue", leases.queue_page(seeker("test"), AT, (AT, "job_1"))),
    ("ix_jobs_miner", select(JobRow.id).where(*leases._leases_of("0123456789ab", "rig", AT))),
    ("ix_jobs_miner", update(JobRow).where(*leases._leases_of("0123456789ab", "rig", AT)).values(lease_expires_at=AT)),
    ("ix_jobs_lease", select(JobRow.id).where(*sweeper._lapsed(AT))),
    ("ix_jobs_expiry", select(JobRow.id).where(*sweeper._expired(AT))),
    ("ix_jobs_list", _LIST.order_by(JobRow.requested_at.desc(), JobRow.id.desc()).limit(51)),
    ("ix_miners_list", repository.offers("test", "acme", AT)),
    ("ix_miners_list", _MINERS.order_by(MinerRow.registered_at.desc(), MinerRow.kid.desc(), MinerRow.miner_id.desc())),
]


async def fill(market: Market) -> None:
    """A history of two tenants' jobs, of which many are queued or running; two hundred miners."""
    states = [JobState.COMPLETED] * 11 + [JobState.QUEUED] * 8 + [JobState.RUNNING]
    jobs: list[dict[str, Any]] = [
        {
            "id": f"job_{n}",
            "tenant_id": ("acme", "rival")[n // 20 % 2],
            "environment": ("live", "test")[n // 40 % 2],
            "key_id": "key_1",
            "state": states[n % 20],
            "payload": {},
            "constraints": {},
            "requested_at": from_ms(to_ms(AT) - 1000 * n),
            "expires_at": from_ms(to_ms(AT) + 3_900_000 - 1000 * n),
            "attempts": 0,
            "holder_kids": [],
            "miner_kid": f"{n % 50:012}",
            "miner_id": f"rig-{n % 7}",
            "lease_expires_at": from_ms(to_ms(AT) + 60_000 - 20 * n),
        }
        for n in range(4000)
    ]
    async with market.database.write() as session:
        await session.execute(insert(JobRow), jobs)
        await session.commit()
    for number in range(200):
        market.clock.now_us += 1000
        await market.node.register(market.miner if number % 2 else market.strange_miner, f"rig-{number}")


async def test_every_hot_query_uses_its_index(market: Market) -> None:
    """EXPLAIN names the index, and no sorting step: a long history costs nothing."""
    await fill(market)
    is_sqlite = market.database.is_sqlite
    dialect = sqlite.dialect() if is_sqlite else postgresql.dialect()  # type: ignore[no-untyped-call]
    explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
    async with market.database.write() as session:
        await session.execute(text("ANALYZE"))
        if not is_sqlite:
            # The question is which index fits, not from how many rows on it pays.
            await session.execute(text("SET LOCAL enable_seqscan = off"))
            await session.execute(text("SET LOCAL enable_bitmapscan = off"))
        for index, query in QUERIES:
            sql = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
            plan = "\n".join(str(row) for row in (await session.execute(text(explain + sql))).all())
            assert index in plan, f"{sql}\n{plan}"
            assert "TEMP B-TREE" not in plan, f"{sql}\n{plan}"
            assert "Sort" not in plan, f"{sql}\n{plan}"
