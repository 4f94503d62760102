"""Reading the outbox, where it is the only place to read it: on a development server."""

from __future__ import annotations

from typing import NamedTuple

from aitbc_server.clock import Timestamp
from aitbc_server.db.unit_of_work import UnitsOfWork
from aitbc_server.mail import repository
from aitbc_server.mail.message import Message
from aitbc_server.mail.sealing import SealError, Sealing
from aitbc_server.secret_keys import SecretKeys

_SHOWN = 50


class Mail(NamedTuple):
    """A mail, and to whom it would have gone."""

    recipient: str
    created_at: Timestamp
    message: Message


class MailReader:
    """Opens what the outbox holds."""

    def __init__(self, units: UnitsOfWork, secret_keys: SecretKeys) -> None:
        self._units = units
        self._sealing = Sealing(secret_keys)

    async def newest(self) -> list[Mail]:
        """The newest mails whose text is there, the newest first."""
        async with self._units.read() as session:
            rows = await repository.newest(session, limit=_SHOWN)
        mails = []
        for row in rows:
            try:
                message = self._sealing.open(row.sealed or b"", mail_id=row.id, recipient=row.recipient)
            except SealError:
                continue
            mails.append(Mail(row.recipient, row.created_at, message))
        return mails
