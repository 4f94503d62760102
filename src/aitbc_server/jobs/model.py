"""Jobs: what a client asked for, who runs it, how it ended."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.db.base import Base
from aitbc_server.db.types import Json, OptionalJson, OptionalTime, TenantIdColumn, Time


class JobRow(Base):
    """A job. While RUNNING it is leased to one miner (a key and its miner_id) until ``lease_expires_at``."""

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
    miner_kid: Mapped[str | None] = mapped_column(String(12))
    miner_id: Mapped[str | None] = mapped_column(String(100))
    lease_expires_at: Mapped[OptionalTime]

    __table_args__ = (
        Index("ix_jobs_list", "tenant_id", "environment", "requested_at", "id"),
        Index("ix_jobs_queue", "state", "environment", "requested_at", "id"),
        Index("ix_jobs_lease", "state", "lease_expires_at"),
        Index("ix_jobs_miner", "miner_kid", "miner_id", "state"),
    )
