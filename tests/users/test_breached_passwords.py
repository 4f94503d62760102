"""Asking a service about breached passwords, over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from aitbc_server.users.breached_passwords import SERVICE_URL, BreachedPasswords

PASSWORD = "unhappy-violet-otter"
DIGEST = hashlib.sha1(PASSWORD.encode(), usedforsecurity=False).hexdigest().upper()


class Service:
    """Answers every request with the same bytes, or never."""

    def __init__(self, body: str = "", status: str = "200 OK", *, hangs: bool = False) -> None:
        self.answer = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode()
        self.hangs = hangs
        self.heard: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hear one request and answer it, or wait until the other side gives up."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        try:
            self.heard.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
            if self.hangs:
                await reader.read()
            else:
                writer.write(self.answer)
                await writer.drain()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[BreachedPasswords]:
        """The service, and who asks it."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            yield BreachedPasswords(f"http://127.0.0.1:{port}", timeout_s=0.3)
            await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_a_breached_password_is_found_and_never_sent() -> None:
    """ASVS 6.2.12: five digits of its digest leave the house, and the answer's length says nothing of it either."""
    service = Service(f"{'0' * 35}:3\r\n{DIGEST[5:]}:42\r\n")
    async with service.running() as breached:
        assert await breached.contains(PASSWORD)
    [heard] = service.heard
    assert heard.startswith(f"get /range/{DIGEST[:5].lower()} http/1.1")
    assert "add-padding: true" in heard
    assert DIGEST[5:].lower() not in heard
    assert PASSWORD not in heard


@pytest.mark.parametrize("body", ["", f"{'0' * 35}:3", f"{DIGEST[5:]}:0", f"{DIGEST[:5]}:1", DIGEST[5:], ":"])
async def test_a_password_that_nobody_has_seen_is_not_found(body: str) -> None:
    """Entries that are there for padding were seen 0 times."""
    async with Service(body).running() as breached:
        assert not await breached.contains(PASSWORD)


@pytest.mark.parametrize(
    "service",
    [
        Service(f"{DIGEST[5:]}:1", status="503 Away"),
        Service("", status="302 Found\r\nlocation: http://127.0.0.1:1/"),
        Service(hangs=True),
        Service("x" * 1_100_000),
        Service("\x80"),
    ],
    ids=["error", "redirect", "hangs", "endless", "garbage"],
)
async def test_a_service_that_fails_keeps_nobody_out(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """ASVS 16.5.2: one line in the log; the bundled list has been asked already."""
    async with service.running() as breached:
        assert not await breached.contains(PASSWORD)
    assert [record.levelname for record in caplog.records if record.name.startswith("aitbc")] == ["WARNING"]
    assert PASSWORD not in caplog.text


async def test_no_service_at_all(caplog: pytest.LogCaptureFixture) -> None:
    """A closed port is no reason to refuse a password."""
    assert not await BreachedPasswords("http://127.0.0.1:1").contains(PASSWORD)
    assert "could not be asked" in caplog.text


def test_the_service_is_one_host_over_tls() -> None:
    """ASVS 13.2.4, 12.3.2: no setting and no answer sends this anywhere else."""
    assert SERVICE_URL == "https://api.pwnedpasswords.com"
