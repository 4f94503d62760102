"""Putting mails into the outbox, together with the change that they tell of."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.clock import Clock, now
from aitbc_server.ids import new_id
from aitbc_server.mail.addresses import check_address
from aitbc_server.mail.messages import Kind, compose
from aitbc_server.mail.model import MailRow
from aitbc_server.mail.sealing import Sealing
from aitbc_server.secret_keys import SecretKeys


class Mailbox:
    """Where services put mails. A background task sends them (see ``sender.py``).

    ``works`` is False where the installation has no way to send mails: then what is put is dropped, because a mail
    with a live link must not lie about until somebody configures a server. Whoever cannot do without asks first.
    """

    def __init__(self, secret_keys: SecretKeys, clock: Clock, *, works: bool = True) -> None:
        self.works = works
        self._sealing = Sealing(secret_keys)
        self._clock = clock

    async def put(self, session: AsyncSession, recipient: str, kind: str, **parameters: Any) -> None:
        """Write a mail in the caller's transaction: it is sent if and only if that is committed.

        ``kind`` is one of ``Kind``, ``parameters`` are those of its text in ``messages.py``. Raises ValueError for an
        unknown kind or a recipient that is no single address, TypeError for other parameters.
        """
        check_address(recipient)
        message = compose(kind, parameters)
        if not self.works:
            return
        at, mail_id = now(self._clock), new_id("mail")
        session.add(
            MailRow(
                id=mail_id,
                recipient=recipient,
                kind=Kind(kind),
                sealed=self._sealing.seal(message, mail_id=mail_id, recipient=recipient),
                created_at=at,
                attempts=0,
                next_attempt_at=at,
            )
        )
