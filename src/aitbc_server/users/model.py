"""People, what they are in which tenant, their sessions and the links that were mailed to them."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.db.base import Base
from aitbc_server.db.types import OptionalTime, TenantIdColumn, Time

EMAIL_LENGTH = 254
USER_AGENT_LENGTH = 300
_ID_LENGTH = 40


class UserRow(Base):
    """A person with a sign-in. ``email`` is in lower case; without ``password_hash`` nobody can sign in yet."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(_ID_LENGTH), primary_key=True)
    email: Mapped[str] = mapped_column(String(EMAIL_LENGTH), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    verified_at: Mapped[OptionalTime]
    is_operator: Mapped[bool] = mapped_column(default=False)
    disabled_at: Mapped[OptionalTime]
    created_at: Mapped[Time]
    password_changed_at: Mapped[OptionalTime]

    __table_args__ = (
        Index(
            "ix_users_unverified",
            "created_at",
            sqlite_where=text("verified_at IS NULL"),
            postgresql_where=text("verified_at IS NULL"),
        ),
    )


class MembershipRow(Base):
    """What a person is in a tenant."""

    __tablename__ = "memberships"

    tenant_id: Mapped[TenantIdColumn] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(_ID_LENGTH), ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[Time]


class SessionRow(Base):
    """A browser that is signed in. The token itself is in its cookie alone: here is its SHA-256 (ASVS 6.5.2).

    ``tenant_id`` is the tenant that the pages show. ``authenticated_at`` is when the password was last given.
    """

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(_ID_LENGTH), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    user_id: Mapped[str] = mapped_column(String(_ID_LENGTH), ForeignKey("users.id"))
    tenant_id: Mapped[str | None] = mapped_column(String(63), ForeignKey("tenants.id"))
    created_at: Mapped[Time]
    last_seen_at: Mapped[Time]
    authenticated_at: Mapped[Time]
    expires_at: Mapped[Time] = mapped_column(index=True)
    client_ip: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(USER_AGENT_LENGTH))

    __table_args__ = (Index("ix_sessions_list", "user_id", "created_at"),)


class UserLinkRow(Base):
    """A link that was mailed, or printed for an operator: good once, for one purpose, until it expires.

    Once it is used it is gone. ``email`` is the address that it was made for: a link proves that its holder reads that
    mailbox, and no other. ``password_hash`` is the password that was chosen at sign-up. It becomes the account's when
    the link is followed by somebody who knows it, so that nobody gets into an account that they began with another
    person's address.
    """

    __tablename__ = "user_links"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(_ID_LENGTH), ForeignKey("users.id"))
    purpose: Mapped[str] = mapped_column(String(20))
    email: Mapped[str] = mapped_column(String(EMAIL_LENGTH))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[Time]
    expires_at: Mapped[Time] = mapped_column(index=True)

    __table_args__ = (Index("ix_user_links_user", "user_id", "purpose"),)
