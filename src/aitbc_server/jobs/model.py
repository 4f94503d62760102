"""Jobs: what a client asked for, who runs it, how it ended."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, Text, literal_column, text
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.db.base import Base
from aitbc_server.db.types import Json, OptionalJson, OptionalTime, TenantIdColumn, Time


def _partial(name: str, state: str, *columns: str) -> Index:
    # It holds what is queued or running and not the history, whatever its length.
    where = text(f"state = '{state}'")
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


class JobRow(Base):
    """A job. While RUNNING it is leased to one miner (a key and its miner_id) until ``lease_expires_at``.

    ``holder_kids`` are the keys that ever held a lease on it, one for each attempt.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant_id: Mapped[TenantIdColumn] = mapped_column(ForeignKey("tenants.id"))
    environment: Mapped[str] = mapped_column(String(4))
    key_id: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(10))
    payload: Mapped[Json]
    constraints: Mapped[Json]
    payment_amount: Mapped[float | None]
    payment_currency: Mapped[str | None] = mapped_column(String(16))
    requested_at: Mapped[Time]
    expires_at: Mapped[Time]
    finished_at: Mapped[OptionalTime]
    error: Mapped[str | None] = mapped_column(Text)
    result: Mapped[OptionalJson]
    metrics: Mapped[OptionalJson]
    receipt: Mapped[OptionalJson]
    attempts: Mapped[int] = mapped_column(default=0)
    holder_kids: Mapped[Json]
    miner_kid: Mapped[str | None] = mapped_column(String(12))
    miner_id: Mapped[str | None] = mapped_column(String(100))
    lease_expires_at: Mapped[OptionalTime]

    __table_args__ = (
        Index("ix_jobs_list", "tenant_id", "environment", "requested_at", "id"),
        _partial("ix_jobs_queue", "QUEUED", "environment", "requested_at", "id"),
        _partial("ix_jobs_tenant_queue", "QUEUED", "tenant_id", "environment", "requested_at", "id"),
        _partial("ix_jobs_expiry", "QUEUED", "expires_at"),
        _partial("ix_jobs_lease", "RUNNING", "lease_expires_at"),
        _partial("ix_jobs_miner", "RUNNING", "miner_kid", "miner_id"),
    )


# A query uses a partial index only where it names the state as a literal: these two are for that.
QUEUED = JobRow.state == literal_column("'QUEUED'", JobRow.state.type)
RUNNING = JobRow.state == literal_column("'RUNNING'", JobRow.state.type)
