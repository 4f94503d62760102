"""Tenants and plans."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.db.base import Base
from aitbc_server.db.types import OptionalTime, TenantIdColumn, Time


class PlanRow(Base):
    """A plan: how many requests a tenant may make in any 60 s. Operators add their own."""

    __tablename__ = "plans"

    id: Mapped[str] = mapped_column(String(63), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    limit_per_minute: Mapped[int]


class TenantRow(Base):
    """Who owns keys, jobs and a plan."""

    __tablename__ = "tenants"

    id: Mapped[TenantIdColumn] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    plan_id: Mapped[str] = mapped_column(ForeignKey("plans.id"), index=True)
    suspended_at: Mapped[OptionalTime]
    created_at: Mapped[Time]
