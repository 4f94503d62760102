"""The mail server that takes our mails, and how a mail is handed to it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from aitbc_server.clock import Timestamp
from aitbc_server.mail.message import Message

if TYPE_CHECKING:
    import aiosmtplib

_ATTEMPT_S = 60.0
_STEP_S = 20.0


class DeliveryError(Exception):
    """The mail was not taken. ``final``: it never will be, so that trying again is no use."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class SmtpServer(msgspec.Struct, frozen=True, kw_only=True):
    """A mail server. ``tls``: from the first byte, or by STARTTLS, which is then insisted on, or not at all."""

    host: str
    port: int
    tls: str
    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"SmtpServer({self.host!r}, {self.port}, tls={self.tls!r})"

    @classmethod
    def parse(cls, url: str) -> SmtpServer:
        """A server from its URL. Raises ValueError.

        ``smtps://`` is TLS from the first byte (port 465), ``smtp://`` is STARTTLS (port 587): a server that does not
        offer it is not used, because a fallback to plain text is what an attacker on the way would ask for (ASVS
        12.2.1). Only a server on this machine gets plain text, and one of a URL with ``?tls=off``.
        """
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path not in {"", "/"} or parts.fragment:
            raise ValueError("not the address of a mail server")
        if (parts.username is None) != (parts.password is None):
            raise ValueError("a user name needs a password")
        tls = "implicit" if parts.scheme == "smtps" else "off" if _is_here(parts.hostname) else "starttls"
        if query and (parts.scheme == "smtps" or query not in ({"tls": "off"}, {"tls": "starttls"})):
            raise ValueError("unknown parameters")
        # Reading the port checks it.
        port = parts.port or (465 if tls == "implicit" else 587)
        return cls(
            host=parts.hostname,
            port=port,
            tls=query.get("tls", tls),
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
        )

    async def deliver(self, mail: EmailMessage, recipient: str) -> None:
        """Hand the mail over. Raises DeliveryError. The server's certificate is checked (ASVS 12.3.2)."""
        import aiosmtplib

        connection = self._connection()
        try:
            async with asyncio.timeout(_ATTEMPT_S):
                await connection.connect()
                await connection.send_message(mail, recipients=[recipient])
            # It was taken: how the goodbye goes changes nothing.
            with suppress(aiosmtplib.SMTPException, OSError):
                await connection.quit()
        except aiosmtplib.SMTPRecipientsRefused as error:
            [refused] = error.recipients
            raise DeliveryError(_text(refused), final=refused.code >= 500) from error
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise DeliveryError(_text(error)) from error
        finally:
            # Also where the attempt was cut off: then nobody waits for a goodbye.
            connection.close()

    def _connection(self) -> aiosmtplib.SMTP:
        import aiosmtplib

        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            use_tls=self.tls == "implicit",
            start_tls=self.tls == "starttls",
            timeout=_STEP_S,
        )


def envelope(message: Message, *, mail_id: str, sender: Address, recipient: str, at: Timestamp) -> EmailMessage:
    """The mail as it goes out. The id stays the same when it is sent again: mail programs show it once then."""
    mail = EmailMessage(policy=SMTP_POLICY.clone(utf8=not recipient.isascii()))
    mail["From"] = sender
    mail["To"] = recipient
    mail["Subject"] = message.subject_line
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<{mail_id}@{sender.domain}>"
    # RFC 3834: nobody's holiday answer is wanted.
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text())
    mail.add_alternative(message.html(), subtype="html")
    return mail


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _text(error: Exception) -> str:
    code = getattr(error, "code", None)
    words = getattr(error, "message", None) or str(error) or type(error).__name__
    return f"{words} ({code})" if code else str(words)
