"""The mails that accounts send, with their links."""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from aitbc_server.clock import Clock, now
from aitbc_server.mail.message import time_in_words
from aitbc_server.users import limits
from aitbc_server.users.events import Origin
from aitbc_server.users.limits import Limits, Rule, client_group
from aitbc_server.users.links import Purpose

_PATHS = {
    Purpose.VERIFY_EMAIL: "/verify-email",
    Purpose.RESET_PASSWORD: "/reset-password",
    Purpose.CHANGE_EMAIL: "/change-email",
    Purpose.SET_UP: "/reset-password",
}
_VALID_FOR = {
    Purpose.VERIFY_EMAIL: "24 hours",
    Purpose.RESET_PASSWORD: "1 hour",
    Purpose.CHANGE_EMAIL: "24 hours",
}


class Mailbox(Protocol):
    """Where mails are put, in the caller's transaction."""

    works: bool

    async def put(self, session: AsyncSession, recipient: str, kind: str, **parameters: Any) -> None:
        """Write one mail."""
        ...


class Letters:
    """Writes the mails. Links lead to ``site_url``, which no request has a say in."""

    def __init__(self, mailbox: Mailbox, limits: Limits, clock: Clock, site_url: str) -> None:
        self._mailbox = mailbox
        self._limits = limits
        self._clock = clock
        self._site_url = site_url

    @property
    def work(self) -> bool:
        """Whether this installation sends mails at all."""
        return self._mailbox.works

    def check_limits(self, recipient: str, origin: Origin, *, of_recipient: Rule = limits.MAIL_RECIPIENT) -> None:
        """Count a mail that somebody asks for. Raises ``too_many_failures``, whoever the recipient is."""
        self._limits.take([(of_recipient, recipient), (limits.MAIL_ADDRESS, client_group(origin.client_ip))])

    def link(self, purpose: Purpose, token: str) -> str:
        """The address of the page for this link."""
        return f"{self._site_url}{_PATHS[purpose]}?token={token}"

    async def send_link(self, session: AsyncSession, recipient: str, purpose: Purpose, token: str) -> None:
        """Mail a link."""
        link = self.link(purpose, token)
        await self._mailbox.put(session, recipient, str(purpose), link=link, valid_for=_VALID_FOR[purpose])

    async def send_have_account(self, session: AsyncSession, recipient: str) -> None:
        """Tell the owner of an address that somebody signs up with it again, or wants it for another account."""
        await self._mailbox.put(
            session,
            recipient,
            "already_have_account",
            sign_in_link=f"{self._site_url}/sign-in",
            reset_link=f"{self._site_url}/forgot-password",
        )

    async def tell_password_changed(self, session: AsyncSession, recipient: str, origin: Origin) -> None:
        """Tell the owner, in case it was somebody else (ASVS 6.3.7)."""
        await self._mailbox.put(
            session,
            recipient,
            "password_changed_notice",
            when=time_in_words(now(self._clock)),
            client_ip=origin.client_ip,
            reset_link=f"{self._site_url}/forgot-password",
        )

    async def tell_email_changed(self, session: AsyncSession, recipient: str, new_email: str, origin: Origin) -> None:
        """Tell the old address (ASVS 6.3.7)."""
        await self._mailbox.put(
            session,
            recipient,
            "email_changed_notice",
            new_email=new_email,
            when=time_in_words(now(self._clock)),
            client_ip=origin.client_ip,
        )

    async def tell_account_deleted(self, session: AsyncSession, recipient: str, origin: Origin) -> None:
        """Tell who had the account, in case it was somebody else (ASVS 6.3.7)."""
        await self._mailbox.put(
            session, recipient, "account_deleted", when=time_in_words(now(self._clock)), client_ip=origin.client_ip
        )
