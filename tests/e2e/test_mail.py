"""Mails of a real server, through a real mail server."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.e2e.processes import running
from tests.support.browser import Browser
from tests.support.mail_server import MailServer, mail_server

PASSWORD = "unhappy-violet-otter"


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def sign_up(url: str, email: str) -> None:
    """Ask for an account."""
    async with httpx2.AsyncClient() as client:
        browser = Browser(client, url)
        page = await browser.submit(await browser.get("/sign-up"), "/sign-up", email=email, password=PASSWORD)
        assert page.status == 303, page.text


def test_a_mail_survives_a_dead_mail_server_and_a_killed_server(tmp_path: Path, mail: MailServer) -> None:
    """The first arrives within a moment. The second is put while the mail server is down, the server is killed, and
    it arrives after the next start; once.
    """
    mail.start()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    variables = {
        "AITBC_PORT": str(port),
        "AITBC_PUBLIC_URL": url,
        "AITBC_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
        "AITBC_MAIL_FROM": "AITBC <no-reply@aitbc.test>",
        "AITBC_SIGN_UP": "open",
    }
    with running("serve", data_dir=tmp_path / "data", variables=variables) as server:
        asyncio.run(sign_up(url, "ada@example.com"))
        [first] = mail.wait_for(1)
        assert first.recipients == ("ada@example.com",)
        assert first.link.startswith(f"{url}/verify-email?token=")
        mail.stop()
        asyncio.run(sign_up(url, "bob@example.com"))
        deadline = time.monotonic() + 10
        while "could not be sent" not in server.text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server.kill()
        assert "bob@example.com" not in server.text()
        token = first.link.partition("token=")[2]
        assert token not in server.text()
    mail.start()
    with running("serve", data_dir=tmp_path / "data", variables=variables):
        mail.wait_for(2, timeout_s=40)
        time.sleep(1.5)
    assert [each.recipients for each in mail.received] == [("ada@example.com",), ("bob@example.com",)]
