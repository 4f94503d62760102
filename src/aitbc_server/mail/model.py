"""The outbox of mails."""

from __future__ import annotations

from sqlalchemy import Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from aitbc_server.db.base import Base
from aitbc_server.db.types import OptionalTime, Time

_WAITING = text("sent_at IS NULL AND failed_at IS NULL")


class MailRow(Base):
    """A mail that is to be sent, was sent, or was given up.

    ``sealed`` is its encrypted text (see ``sealing.py``), gone once the mail is sent or given up: it may hold a live
    link. ``next_attempt_at`` is also the claim of the node that is sending it: before then nobody else takes it up.
    """

    __tablename__ = "mails"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    recipient: Mapped[str] = mapped_column(String(254))
    kind: Mapped[str] = mapped_column(String(40))
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary())
    created_at: Mapped[Time] = mapped_column(index=True)
    attempts: Mapped[int]
    next_attempt_at: Mapped[Time]
    sent_at: Mapped[OptionalTime]
    failed_at: Mapped[OptionalTime]
    error: Mapped[str | None] = mapped_column(Text())

    __table_args__ = (Index("ix_mails_waiting", "next_attempt_at", sqlite_where=_WAITING, postgresql_where=_WAITING),)
