"""Queries on the outbox of mails."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, CursorResult, Delete, Update, and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.clock import Timestamp
from aitbc_server.mail.model import MailRow


async def due(session: AsyncSession, at: Timestamp, *, limit: int) -> Sequence[MailRow]:
    """Mails whose time has come, those that wait longest first."""
    query = select(MailRow).where(_waiting(), MailRow.next_attempt_at <= at)
    return (await session.scalars(query.order_by(MailRow.next_attempt_at).limit(limit))).all()


async def claim(session: AsyncSession, mail: MailRow, *, until: Timestamp) -> bool:
    """Take a mail that was seen due: nobody else does before ``until``. False where another node was quicker."""
    seen = and_(MailRow.id == mail.id, MailRow.next_attempt_at == mail.next_attempt_at)
    statement = update(MailRow).where(seen, _waiting()).values(next_attempt_at=until, attempts=MailRow.attempts + 1)
    return await _changed(session, statement) == 1


async def sent(session: AsyncSession, mail_id: str, at: Timestamp, *, keep_text: bool) -> None:
    """The mail is where it belongs. Its text goes, but where it is the only place to read it."""
    values = {"sent_at": at, "error": None} | ({} if keep_text else {"sealed": None})
    await session.execute(update(MailRow).where(MailRow.id == mail_id).values(values))


async def failed(session: AsyncSession, mail_id: str, at: Timestamp, error: str) -> None:
    """The mail is given up, and its text goes."""
    values = {"failed_at": at, "error": error, "sealed": None}
    await session.execute(update(MailRow).where(MailRow.id == mail_id, _waiting()).values(values))


async def retry(session: AsyncSession, mail_id: str, at: Timestamp, error: str) -> None:
    """The mail is tried again at that time."""
    await session.execute(
        update(MailRow).where(MailRow.id == mail_id, _waiting()).values(next_attempt_at=at, error=error)
    )


async def remove_ended(session: AsyncSession, before: Timestamp) -> int:
    """Delete what was sent or given up, and put into the outbox before that time. How many."""
    ended = or_(MailRow.sent_at.is_not(None), MailRow.failed_at.is_not(None))
    return await _changed(session, delete(MailRow).where(ended, MailRow.created_at < before))


async def newest(session: AsyncSession, *, limit: int) -> Sequence[MailRow]:
    """The newest mails, whatever became of them."""
    return (await session.scalars(select(MailRow).order_by(MailRow.created_at.desc(), MailRow.id).limit(limit))).all()


def _waiting() -> ColumnElement[bool]:
    return and_(MailRow.sent_at.is_(None), MailRow.failed_at.is_(None))


async def _changed(session: AsyncSession, statement: Update | Delete) -> int:
    result = await session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount
