"""A real mail server for tests: it takes mails by SMTP and keeps them, and can be stopped, slow, or strict."""

from __future__ import annotations

import asyncio
import email.policy
import re
import ssl
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any, NamedTuple

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Received(NamedTuple):
    """A mail, and to whom the dialogue said that it goes."""

    recipients: tuple[str, ...]
    mail: EmailMessage

    @property
    def text(self) -> str:
        """The plain text form."""
        part = self.mail.get_body(("plain",))
        assert part is not None
        return str(part.get_content())

    @property
    def link(self) -> str:
        """The one address that stands on a line of its own."""
        [found] = [line for line in self.text.splitlines() if re.fullmatch(r"https?://\S+", line)]
        return found


class MailServer:
    """Listens on 127.0.0.1 while it runs. ``answers`` are given to the next mails in place of taking them.

    ``login``: (user, password) that it insists on.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None) -> None:
        self.received: list[Received] = []
        self.answers: list[str] = []
        self.refused_recipients: set[str] = set()
        self.delay_s = 0.0
        self.port = 0
        self._tls = tls
        self._login = login
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None

    def start(self, *, implicit_tls: bool = False) -> None:
        """Listen; again on the same port where it did before."""

        async def start() -> asyncio.Server:
            context = self._tls if implicit_tls else None
            loop = asyncio.get_running_loop()
            return await loop.create_server(
                lambda: self._protocol(implicit_tls=implicit_tls), "127.0.0.1", self.port, ssl=context
            )

        self._server = self._run(start())
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Refuse connections from now on."""

        async def stop() -> None:
            assert self._server is not None
            self._server.close()

        self._run(stop())

    def close(self) -> None:
        """End it for good."""
        if self._server is not None:
            self.stop()
        self._run(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def wait_for(self, count: int, timeout_s: float = 10.0) -> list[Received]:
        """The mails, once there are so many. Raises AssertionError where there never are."""
        deadline = time.monotonic() + timeout_s
        while len(self.received) < count:
            assert time.monotonic() < deadline, f"{len(self.received)} of {count} mails came"
            time.sleep(0.02)
        return self.received

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """The library's hook: a recipient is named."""
        if address in self.refused_recipients:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """The library's hook: the mail is there."""
        await asyncio.sleep(self.delay_s)
        if self.answers:
            return self.answers.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        mail = BytesParser(EmailMessage, policy=email.policy.default).parsebytes(content)
        self.received.append(Received(tuple(envelope.rcpt_tos), mail))
        return "250 OK"

    def _protocol(self, *, implicit_tls: bool) -> SMTP:
        login = self._login

        def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
            good = isinstance(given, LoginPassword) and login is not None
            right = good and (given.login.decode(), given.password.decode()) == login
            return AuthResult(success=right, handled=False)

        with warnings.catch_warnings():
            # It warns of passwords without TLS, not knowing that TLS may begin with the first byte.
            warnings.simplefilter("ignore")
            return SMTP(
                self,
                hostname="mail.test",
                tls_context=None if implicit_tls else self._tls,
                require_starttls=self._tls is not None and not implicit_tls,
                auth_required=login is not None,
                auth_require_tls=False,
                authenticator=authenticate,
                enable_SMTPUTF8=True,
                loop=self._loop,
            )

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def mail_server(**options: Any) -> Iterator[MailServer]:
    """A mail server that is not started yet; ended with the block."""
    server = MailServer(**options)
    try:
        yield server
    finally:
        server.close()
