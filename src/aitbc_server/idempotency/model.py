"""Idempotency keys: what was made for a request that may come again."""

from __future__ import annotations

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.db.base import Base
from aitbc_server.db.types import TenantIdColumn, Time


class IdempotencyKeyRow(Base):
    """The request's hash and the id of the object that it made. Never a secret."""

    __tablename__ = "idempotency_keys"

    tenant_id: Mapped[TenantIdColumn] = mapped_column(primary_key=True)
    environment: Mapped[str] = mapped_column(String(4), primary_key=True)
    route: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    object_id: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[Time] = mapped_column(index=True)
