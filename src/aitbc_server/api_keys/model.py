"""API keys and the further tenants that a key is granted."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, LargeBinary, String, false
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.db.base import Base
from aitbc_server.db.types import Json, Kid, OptionalTime, TenantIdColumn, Time


class ApiKeyRow(Base):
    """An API key. Its secrets are here only as digests keyed by the pepper (see ``credentials/digests.py``).

    A foreign key (one that was imported and is not of our format) is found by ``lookup``, a keyed digest of
    the whole text; ours are found by kid. ``previous_*`` is the older secret in its grace period.

    ``user_id`` is the person whom the key stands for, who got it by signing in from a command line: it ends with their
    account, and works as long as that does. All other keys are the tenant's, whoever made them.
    """

    __tablename__ = "api_keys"

    kid: Mapped[Kid] = mapped_column(primary_key=True)
    tenant_id: Mapped[TenantIdColumn] = mapped_column(ForeignKey("tenants.id"))
    environment: Mapped[str] = mapped_column(String(4))
    name: Mapped[str] = mapped_column(String(100))
    preset: Mapped[str | None] = mapped_column(String(20))
    scopes: Mapped[Json]
    created_at: Mapped[Time]
    created_by: Mapped[str | None] = mapped_column(String(64))
    expires_at: Mapped[OptionalTime]
    enabled: Mapped[bool] = mapped_column(default=True)
    revoked_at: Mapped[OptionalTime]
    allowed_ips: Mapped[Json]
    limit_per_minute: Mapped[int | None]
    # "metadata" is taken by SQLAlchemy on every model.
    metadata_: Mapped[Json] = mapped_column("metadata")
    verifies_all: Mapped[bool] = mapped_column(default=False)
    made_by_dev: Mapped[bool] = mapped_column(default=False)
    user_id: Mapped[str | None] = mapped_column(String(40), index=True)
    user_disabled: Mapped[bool] = mapped_column(default=False, server_default=false())

    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    pepper_version: Mapped[str] = mapped_column(String(8))
    lookup: Mapped[bytes | None] = mapped_column(LargeBinary(32), unique=True)
    last4: Mapped[str] = mapped_column(String(4))
    secret_created_at: Mapped[Time]

    previous_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    previous_pepper_version: Mapped[str | None] = mapped_column(String(8))
    previous_lookup: Mapped[bytes | None] = mapped_column(LargeBinary(32), unique=True)
    previous_expires_at: Mapped[OptionalTime]
    previous_last_used_at: Mapped[OptionalTime]

    last_used_at: Mapped[OptionalTime]
    last_used_ip: Mapped[str | None] = mapped_column(String(45))

    __table_args__ = (Index("ix_api_keys_list", "tenant_id", "created_at", "kid"),)


class ApiKeyGrantRow(Base):
    """A further tenant that a key may act for when ``X-Tenant-ID`` names it."""

    __tablename__ = "api_key_grants"

    kid: Mapped[Kid] = mapped_column(ForeignKey("api_keys.kid"), primary_key=True)
    tenant_id: Mapped[TenantIdColumn] = mapped_column(ForeignKey("tenants.id"), primary_key=True, index=True)
    granted_by: Mapped[str] = mapped_column(String(64))
    granted_at: Mapped[Time]
