"""Usage: one count per decision of a known key, by minute."""

from __future__ import annotations

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.db.base import Base
from aitbc_server.db.types import Kid, TenantIdColumn, Time


class UsageMinuteRow(Base):
    """How many decisions of one kind a key had in one minute.

    ``source`` names the counter that the number comes from: a run of a store, whose counters are cumulative
    within a minute, so that reading them twice counts nothing twice.
    """

    __tablename__ = "usage_minutes"

    tenant_id: Mapped[TenantIdColumn] = mapped_column(primary_key=True)
    environment: Mapped[str] = mapped_column(String(4), primary_key=True)
    minute: Mapped[Time] = mapped_column(primary_key=True)
    kid: Mapped[Kid] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(String(32), primary_key=True)
    operation: Mapped[str] = mapped_column(String(64), primary_key=True)
    source: Mapped[str] = mapped_column(String(40), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
