"""Sign-ins of devices that are waiting for a person."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.db.base import Base
from aitbc_server.db.types import OptionalTime, TenantIdColumn, Time

CLIENT_NAME_LENGTH = 100


class GrantState(StrEnum):
    """Where a sign-in stands. Whatever its state, it is over when it has expired."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    COLLECTED = "collected"


class DeviceGrantRow(Base):
    """One sign-in. Both codes are here only as keyed digests (see ``codes.py``).

    ``session_id`` is the browser session that entered the code: nobody else may decide. ``tries`` counts how often the
    right code was entered. Until somebody decides, ``tenant_id`` and ``environment`` are what the device asked for.
    """

    __tablename__ = "device_grants"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    device_digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    user_code_digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    client_name: Mapped[str] = mapped_column(String(CLIENT_NAME_LENGTH))
    client_ip: Mapped[str | None] = mapped_column(String(45))
    wanted_preset: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[Time]
    expires_at: Mapped[Time] = mapped_column(index=True)
    last_polled_at: Mapped[OptionalTime]
    poll_interval_s: Mapped[int]
    tries: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(10))
    session_id: Mapped[str | None] = mapped_column(String(40))
    decided_at: Mapped[OptionalTime]
    user_id: Mapped[str | None] = mapped_column(String(40))
    tenant_id: Mapped[TenantIdColumn | None] = mapped_column(String(63))
    preset: Mapped[str | None] = mapped_column(String(20))
    environment: Mapped[str | None] = mapped_column(String(4))
    key_id: Mapped[str | None] = mapped_column(String(40))
