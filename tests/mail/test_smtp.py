"""The way to the mail server: encrypted, with the right server, or not at all."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.mail.conftest import Post
from tests.support.mail_server import MailServer, mail_server

from aitbc_server.mail.smtp import SmtpServer


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signed the mail server's certificate."""
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[MailServer]:
    """A mail server that insists on TLS and on a password."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with mail_server(tls=context, login=("aitbc", "p@ss")) as server:
        yield server


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine trusts that authority."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_mails_travel_encrypted(scheme: str, post: Post, secure: MailServer) -> None:
    """TLS from the first byte, or by STARTTLS; the user name and password of the URL are percent-decoded (12.2.1)."""
    secure.start(implicit_tls=scheme == "smtps")
    query = "" if scheme == "smtps" else "?tls=starttls"
    await post.put()
    await post.sender(url=f"{scheme}://aitbc:p%40ss@localhost:{secure.port}{query}").step()
    assert len(secure.received) == 1


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_a_server_with_a_strange_certificate_gets_nothing(scheme: str, post: Post, secure: MailServer) -> None:
    """ASVS 12.3.2: the certificate is checked, and there is no way around it but to trust its authority."""
    secure.start(implicit_tls=scheme == "smtps")
    query = "" if scheme == "smtps" else "?tls=starttls"
    await post.put()
    await post.sender(url=f"{scheme}://aitbc:p%40ss@localhost:{secure.port}{query}").step()
    assert secure.received == []
    assert "certificate verify failed" in ((await post.row()).error or "")


async def test_there_is_no_fallback_to_plain_text(post: Post, server: MailServer) -> None:
    """ASVS 12.2.1: a server, or somebody on the way, that does not offer STARTTLS gets neither password nor mail."""
    server.start()
    await post.put()
    await post.sender(url=f"smtp://aitbc:pw@127.0.0.1:{server.port}?tls=starttls").step()
    assert server.received == []
    assert "STARTTLS" in ((await post.row()).error or "")


@pytest.mark.usefixtures("trusted")
async def test_a_wrong_password_is_tried_again(post: Post, secure: MailServer) -> None:
    """The operator puts it right, and nothing was lost; the error does not tell the password."""
    secure.start(implicit_tls=True)
    await post.put()
    await post.sender(url=f"smtps://aitbc:wrong@localhost:{secure.port}").step()
    row = await post.row()
    assert (row.failed_at, row.sealed is None) == (None, False)
    assert "wrong" not in str(row.error)


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("smtps://mail.example.com", "mail.example.com", 465, "implicit"),
        ("smtp://mail.example.com", "mail.example.com", 587, "starttls"),
        ("smtp://mail.example.com:25/", "mail.example.com", 25, "starttls"),
        ("smtp://relay:1025?tls=off", "relay", 1025, "off"),
        ("smtp://localhost:1025", "localhost", 1025, "off"),
        ("smtp://[::1]:1025", "::1", 1025, "off"),
        ("smtp://127.0.0.1?tls=starttls", "127.0.0.1", 587, "starttls"),
    ],
)
def test_addresses_of_mail_servers(url: str, host: str, port: int, tls: str) -> None:
    """What each form means."""
    server = SmtpServer.parse(url)
    assert (server.host, server.port, server.tls) == (host, port, tls)


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "https://mail.example.com",
        "smtp://",
        "smtp://user@mail.example.com",
        "smtp://mail.example.com:0x19",
        "smtp://mail.example.com/path",
        "smtp://mail.example.com?tls=maybe",
        "smtps://mail.example.com?tls=off",
        "smtp://mail.example.com?verify=no",
        "smtp://mail.example.com#tls",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    """Each is refused: what is not understood must not end as less protection than was meant."""
    with pytest.raises(ValueError, match=r".+"):
        SmtpServer.parse(url)


def test_the_password_is_not_shown() -> None:
    """ASVS 16.2.5."""
    assert "secret" not in repr(SmtpServer.parse("smtps://user:secret@mail.example.com"))
