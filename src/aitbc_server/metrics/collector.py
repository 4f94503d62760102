"""The numbers of one process, read when they are asked for: nothing is counted twice, and nothing on a request's way.

No label holds a tenant, a key, an address or anything else that a caller made up. (ASVS 16.2.5)
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from aitbc_server.db import outbox
from aitbc_server.db.engine import Database
from aitbc_server.fleet import SharedStore
from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.counter import UsageCounter
from aitbc_server.gate.numbers import NodeNumbers
from aitbc_server.gate.refusals import RefusalLog
from aitbc_server.gate.store import ALLOWED
from aitbc_server.jobs.model import QUEUED, JobRow
from aitbc_server.mail.model import MailRow

logger = logging.getLogger(__name__)

#: What the database is asked for is kept so long: many scrapers cost it no more than one.
DATABASE_EVERY_S = 5.0
_DATABASE_TIMEOUT_S = 2.0
_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Sources(NamedTuple):
    """Where the numbers are. ``shared`` is None for a server that shares nothing."""

    counter: UsageCounter
    refusals: RefusalLog
    cache: CredentialCache
    database: Database
    shared: SharedStore | None
    numbers: NodeNumbers


class _Waiting(NamedTuple):
    jobs: int
    changes: int
    mails: int


class Metrics:
    """Everything that is measured, in a registry of its own."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._waiting: _Waiting | None = None
        self._asked_s = float("-inf")
        self._asking = asyncio.Lock()
        self._registry = CollectorRegistry()
        self.latency = Histogram(
            "aitbc_request_duration_seconds",
            "How long requests take, by operation. One request in 64 is measured.",
            ["operation"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(self)

    async def text(self) -> bytes:
        """All numbers of this moment in Prometheus' text format."""
        await self._ask_database()
        return generate_latest(self._registry)

    def describe(self) -> Iterator[Metric]:
        """Nothing is read when the registry learns of this collector."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client.registry.Collector."""
        yield self._decisions()
        yield GaugeMetricFamily(
            "aitbc_cached_keys", "API keys that this node holds in memory.", len(self._sources.cache)
        )
        yield CounterMetricFamily(
            "aitbc_keys_read",
            "API keys that were looked for in the database, because they were not in memory or could not be trusted.",
            self._sources.numbers.keys_read,
        )
        yield GaugeMetricFamily(
            "aitbc_usage_minutes_unstored",
            "Minutes of usage that are not stored for good; a growing number means that storing fails.",
            len(self._sources.counter.ledgers()),
        )
        yield from self._of_the_store()
        yield from self._of_the_database()

    def _decisions(self) -> Metric:
        family = CounterMetricFamily(
            "aitbc_decisions", "What the gate decided, by code and operation.", labels=["code", "operation"]
        )
        for operation, count in (self._sources.numbers.allowed + Counter(self._sources.counter.allowed())).items():
            family.add_metric([ALLOWED, operation], count)
        for (code, operation), count in list(self._sources.refusals.counts.items()):
            family.add_metric([code, operation], count)
        return family

    def _of_the_store(self) -> Iterator[Metric]:
        shared = self._sources.shared
        if shared is None:
            return
        family = GaugeMetricFamily(
            "aitbc_store_state", "1 for the state that the shared store is in, as this node sees it.", labels=["state"]
        )
        for state in ("up", "hung", "away"):
            family.add_metric([state], float(state == shared.state))
        yield family
        numbers = self._sources.numbers
        yield CounterMetricFamily(
            "aitbc_decisions_alone", "Decisions that this node made without the shared store.", numbers.alone
        )
        yield CounterMetricFamily(
            "aitbc_decisions_late",
            "Those of them that the shared store had counted all the same, when its answer came too late.",
            numbers.late,
        )
        yield CounterMetricFamily(
            "aitbc_usage_rows_drained", "Counts that were brought from the store to the database.", numbers.rows_drained
        )
        yield GaugeMetricFamily(
            "aitbc_usage_tenants_undrained",
            "Tenants whose counts in the shared store are not in the database yet.",
            len(shared.store.touched),
        )

    def _of_the_database(self) -> Iterator[Metric]:
        waiting = self._waiting
        yield GaugeMetricFamily("aitbc_database_up", "1 where the database answers.", float(waiting is not None))
        if waiting is None:
            return
        yield GaugeMetricFamily("aitbc_jobs_queued", "Jobs that wait for a miner.", waiting.jobs)
        yield GaugeMetricFamily(
            "aitbc_changes_unconfirmed", "Changes that are not in effect on every node yet.", waiting.changes
        )
        yield GaugeMetricFamily("aitbc_mails_waiting", "Mails that are not sent yet.", waiting.mails)

    async def _ask_database(self) -> None:
        async with self._asking:
            loop = asyncio.get_running_loop()
            if loop.time() - self._asked_s < DATABASE_EVERY_S:
                return
            try:
                async with asyncio.timeout(_DATABASE_TIMEOUT_S):
                    self._waiting = await self._read()
            except (SQLAlchemyError, OSError) as error:
                # TimeoutError is an OSError. What was true then may not be now.
                logger.warning("the database does not answer the metrics: %s", str(error) or "it hangs")
                self._waiting = None
            self._asked_s = loop.time()

    async def _read(self) -> _Waiting:
        async with self._sources.database.read() as session:
            jobs = await session.scalar(select(func.count()).where(QUEUED).select_from(JobRow))
            changes = await outbox.count_pending(session)
            mails = await session.scalar(
                select(func.count()).where(MailRow.sent_at.is_(None), MailRow.failed_at.is_(None)).select_from(MailRow)
            )
        return _Waiting(jobs or 0, changes, mails or 0)
