"""Tenants and plans."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, Text
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


class PlanRequestRow(Base):
    """Somebody's request for another plan. ``state``: open, approved, refused or withdrawn.

    ``requested_by`` and ``decided_by`` are user ids without a foreign key: a request outlives who made it.
    """

    __tablename__ = "plan_requests"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    tenant_id: Mapped[TenantIdColumn] = mapped_column(ForeignKey("tenants.id"))
    plan_id: Mapped[str] = mapped_column(String(63), ForeignKey("plans.id"))
    requested_by: Mapped[str] = mapped_column(String(64))
    requested_at: Mapped[Time]
    note: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(10))
    decided_at: Mapped[OptionalTime]
    decided_by: Mapped[str | None] = mapped_column(String(64))
    answer: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index("ix_plan_requests_list", "tenant_id", "requested_at", "id"),
        Index("ix_plan_requests_state", "state", "requested_at", "id"),
    )
