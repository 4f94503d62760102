"""Emptying the outbox: every mail is sent once as far as that can be known, and tried for a day."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.headerregistry import Address
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.clock import Clock, Timestamp, from_ms, now, to_ms
from aitbc_server.db.engine import Database
from aitbc_server.mail import repository
from aitbc_server.mail.message import Message, one_line
from aitbc_server.mail.model import MailRow
from aitbc_server.mail.sealing import SealError, Sealing
from aitbc_server.mail.smtp import DeliveryError, SmtpServer, envelope
from aitbc_server.periodic import repeating
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.settings import Settings

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
PURGE_EVERY_S = 3600.0
GIVE_UP_AFTER = timedelta(hours=24)
KEPT_FOR = timedelta(days=30)

# Longer than any attempt takes: who was killed in the middle of one gets no second node beside it.
CLAIM = timedelta(minutes=2)
_FIRST_WAIT = timedelta(seconds=15)
_LONGEST_WAIT = timedelta(hours=1)
_AT_ONCE = 4
_BATCH = 20
# The server's stop takes 5 s in all: an attempt that is not over by then is cut off, and made again after its claim.
_STOP_S = 1.0
_ERROR_LENGTH = 500


class Delivery(Protocol):
    """How a mail leaves. ``keeps_text``: the outbox stays the only place to read it."""

    keeps_text: bool

    async def deliver(self, row: MailRow, message: Message, at: Timestamp) -> None:
        """Hand it over. Raises DeliveryError."""
        ...


class SmtpDelivery:
    """By a mail server."""

    keeps_text = False

    def __init__(self, server: SmtpServer, sender: Address) -> None:
        self._server = server
        self._sender = sender

    async def deliver(self, row: MailRow, message: Message, at: Timestamp) -> None:
        """See ``Delivery``."""
        mail = envelope(message, mail_id=row.id, sender=self._sender, recipient=row.recipient, at=at)
        await self._server.deliver(mail, row.recipient)


class LogDelivery:
    """For developers: the log tells of the mail, and ``/dev/mail`` shows it."""

    keeps_text = True

    async def deliver(self, row: MailRow, message: Message, at: Timestamp) -> None:
        """See ``Delivery``."""
        link = "" if message.link is None else f" {message.link.url}"
        logger.info("mail to %s: %s%s", row.recipient, message.subject_line, link)


class MailSender:
    """Sends what is due. Any number of nodes may run one on the same database."""

    def __init__(self, database: Database, secret_keys: SecretKeys, delivery: Delivery, clock: Clock) -> None:
        self._database = database
        self._sealing = Sealing(secret_keys)
        self._delivery = delivery
        self._clock = clock
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send in the background until the block is left; then what is under way gets a moment to end."""
        async with (
            repeating(self.purge, interval_s=PURGE_EVERY_S, name="removing old mails"),
            repeating(self.step, interval_s=LOOK_EVERY_S, name="sending mails"),
        ):
            try:
                yield
            finally:
                self._stopping = True
                asyncio.get_running_loop().call_later(_STOP_S, self._cut_off)

    async def step(self) -> None:
        """Send everything that is due, a few at once."""
        async with self._database.read() as session:
            due = await repository.due(session, self._now(), limit=_BATCH)
        turns = asyncio.Semaphore(_AT_ONCE)

        async def in_turn(mail: MailRow) -> None:
            async with turns:
                await self._send(mail)

        async with asyncio.TaskGroup() as group:
            for mail in due:
                task = group.create_task(in_turn(mail))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)

    async def purge(self) -> None:
        """Forget mails that were sent or given up long ago."""
        async with self._database.write() as session:
            await repository.remove_ended(session, _moved(self._now(), -KEPT_FOR))
            await session.commit()

    async def _send(self, mail: MailRow) -> None:
        """Claim the mail, hand it over, and write down how that went, each in a transaction of its own.

        Who is killed in between leaves the claim, which lapses: then the mail is sent again, under the same id.
        """
        if self._stopping or not await self._claimed(mail):
            return
        error: DeliveryError | None = None
        try:
            await self._delivery.deliver(mail, self._opened(mail), self._now())
        except DeliveryError as raised:
            error = raised
        next_at: Timestamp | None = None
        async with self._database.write() as session:
            if error is None:
                await repository.sent(session, mail.id, self._now(), keep_text=self._delivery.keeps_text)
            else:
                next_at = await self._not_sent(session, mail, error)
            await session.commit()
        if error is not None:
            _tell_of_failure(mail, error, next_at)

    async def _claimed(self, mail: MailRow) -> bool:
        async with self._database.write() as session:
            is_ours = await repository.claim(session, mail, until=_moved(self._now(), CLAIM))
            await session.commit()
        return is_ours

    async def _not_sent(self, session: AsyncSession, mail: MailRow, error: DeliveryError) -> Timestamp | None:
        """Try again later, each time after a longer wait: when. Or never again: None."""
        at = self._now()
        next_at = _moved(at, wait_after(mail.attempts + 1))
        if error.final or next_at - mail.created_at > GIVE_UP_AFTER:
            await repository.failed(session, mail.id, at, _reason(error))
            return None
        await repository.retry(session, mail.id, next_at, _reason(error))
        return next_at

    def _opened(self, mail: MailRow) -> Message:
        try:
            return self._sealing.open(mail.sealed or b"", mail_id=mail.id, recipient=mail.recipient)
        except SealError as error:
            raise DeliveryError(str(error), final=True) from error

    def _cut_off(self) -> None:
        for task in self._under_way:
            task.cancel()

    def _now(self) -> Timestamp:
        return now(self._clock)


@asynccontextmanager
async def sending(settings: Settings, database: Database, secret_keys: SecretKeys, clock: Clock) -> AsyncIterator[None]:
    """Send mails in the way that the settings say, until the block is left; where they name none, do nothing."""
    delivery: Delivery
    if settings.smtp is not None and settings.mail_from is not None:
        delivery = SmtpDelivery(settings.smtp, settings.mail_from)
    elif settings.dev:
        delivery = LogDelivery()
    else:
        yield
        return
    async with MailSender(database, secret_keys, delivery, clock).running():
        yield


def _tell_of_failure(mail: MailRow, error: DeliveryError, next_at: Timestamp | None) -> None:
    """The log names the mail, not its reader."""
    if next_at is None:
        logger.error("%s (%s) could not be sent and is given up: %s", mail.id, mail.kind, _reason(error))
        return
    text = "%s (%s) could not be sent; it is tried again at %s: %s"
    logger.warning(text, mail.id, mail.kind, next_at, _reason(error))


def _reason(error: DeliveryError) -> str:
    return one_line(str(error))[:_ERROR_LENGTH]


def wait_after(attempts: int) -> timedelta:
    """How long to wait after so many attempts that failed: 15 s, then twice as long each time, an hour at most."""
    doubled: int = 2 ** min(attempts - 1, 10)
    return min(_FIRST_WAIT * doubled, _LONGEST_WAIT)


def _moved(at: Timestamp, by: timedelta) -> Timestamp:
    return from_ms(to_ms(at + by))
