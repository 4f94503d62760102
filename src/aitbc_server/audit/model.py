"""The audit log: one chained row for every change."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.db.base import Base
from aitbc_server.db.types import OptionalJson, TenantIdColumn, Time


class AuditEventRow(Base):
    """One change. ``mac`` chains it to the row before it: HMAC(audit key, previous mac || this row).

    ``environment`` is that of the key, job or miner that was changed; null for what concerns the tenant as a whole.
    """

    __tablename__ = "audit_events"

    tenant_id: Mapped[TenantIdColumn] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    time: Mapped[Time]
    actor_type: Mapped[str] = mapped_column(String(10))
    actor_id: Mapped[str | None] = mapped_column(String(64))
    actor_name: Mapped[str | None] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(64))
    target_type: Mapped[str] = mapped_column(String(20))
    target_id: Mapped[str] = mapped_column(String(64))
    environment: Mapped[str | None] = mapped_column(String(4))
    client_ip: Mapped[str | None] = mapped_column(String(45))
    request_id: Mapped[str | None] = mapped_column(String(64))
    before: Mapped[OptionalJson]
    after: Mapped[OptionalJson]
    key_version: Mapped[str] = mapped_column(String(8))
    mac: Mapped[bytes] = mapped_column(LargeBinary(32))

    __table_args__ = (
        Index("ix_audit_events_target", "tenant_id", "target_id", "sequence"),
        Index("ix_audit_events_time", "tenant_id", "time"),
    )


class AuditHeadRow(Base):
    """The newest row of a tenant's chain. Locked while a row is added, so that chains never fork."""

    __tablename__ = "audit_heads"

    tenant_id: Mapped[TenantIdColumn] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    mac: Mapped[bytes] = mapped_column(LargeBinary(32))
