"""Miners: a miner is the pair of a key and its miner_id."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.db.base import Base
from aitbc_server.db.types import Json, Kid, TenantIdColumn, Time


class MinerRow(Base):
    """A registered miner and what it offers."""

    __tablename__ = "miners"

    kid: Mapped[Kid] = mapped_column(ForeignKey("api_keys.kid"), primary_key=True)
    miner_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    tenant_id: Mapped[TenantIdColumn] = mapped_column(ForeignKey("tenants.id"))
    environment: Mapped[str] = mapped_column(String(4))
    capabilities: Mapped[Json]
    concurrency: Mapped[int]
    region: Mapped[str | None] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(100))
    inflight: Mapped[int] = mapped_column(default=0)
    status_metadata: Mapped[Json]
    registered_at: Mapped[Time]
    last_seen_at: Mapped[Time]

    __table_args__ = (
        Index("ix_miners_list", "tenant_id", "environment", "registered_at", "kid", "miner_id"),
        Index("ix_miners_latest", "kid", "registered_at"),
    )
