"""What mails say, and that nobody can make them say more."""

from __future__ import annotations

import inspect
from email import message_from_bytes
from typing import Any

import pytest
from tests.mail.conftest import FROM, KEYS, Post

from aitbc_server.clock import from_ms
from aitbc_server.mail.addresses import check_address, parse_sender
from aitbc_server.mail.message import Link, Message, time_in_words
from aitbc_server.mail.messages import _WRITERS, Kind, compose
from aitbc_server.mail.outbox import Mailbox
from aitbc_server.mail.smtp import envelope

HOSTILE = 'ci\r\nBcc: eve@example.com\r\n\r\n<script>alert("1")</script>\u202e\x1b[2J'
AT_MS = 1_795_499_190_000
AT = from_ms(AT_MS)


def test_times_are_told_in_one_form() -> None:
    """The month in letters and the zone, whichever mail tells them."""
    assert time_in_words(from_ms(AT_MS)) == "24 November 2026, 05:46 UTC"


def parameters(kind: Kind, value: str) -> dict[str, Any]:
    """Something for each parameter that a mail takes."""
    links = {name for name in inspect.signature(_WRITERS[kind]).parameters if name.endswith("link")}
    names = inspect.signature(_WRITERS[kind]).parameters
    found: dict[str, Any] = dict.fromkeys(names, value) | dict.fromkeys(links, "https://aitbc.test/x?a=1&b=2")
    return found | ({"approved": True} if "approved" in names else {})


@pytest.mark.parametrize("kind", Kind)
def test_every_mail_has_both_forms(kind: Kind) -> None:
    """A subject of a line, a text without long lines, and HTML that loads nothing from anywhere."""
    message = compose(kind, parameters(kind, "value"))
    assert 10 < len(message.subject_line) < 70
    assert all(len(line) <= 78 or "://" in line for line in message.text().splitlines())
    html = message.html()
    assert not any(word in html for word in ("<img", "<script", "src=", "<link"))
    assert message.link is None or (message.link.url in message.text() and "a=1&amp;b=2" in html)


@pytest.mark.parametrize("kind", Kind)
def test_nothing_that_is_filled_in_gets_out_of_its_place(kind: Kind) -> None:
    """ASVS 1.2.1, 1.3: no further header, no further line, no tag and no turn of direction by a name or a host."""
    message = compose(kind, parameters(kind, HOSTILE))
    mail = envelope(message, mail_id="mail_1", sender=FROM, recipient="ada@example.com", at=AT)
    sent = message_from_bytes(mail.as_bytes())
    expected = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
    assert sorted(sent.keys()) == sorted(expected)
    assert "<script" not in message.html()
    for form in (message.text(), message.html(), message.subject_line):
        assert not any(character in form for character in "\r\x1b\u202e")


def test_a_subject_is_one_line() -> None:
    """Whatever it was made of."""
    message = Message(subject="a\r\nBcc: b@example.com", paragraphs=("x",), link=Link("y", "https://aitbc.test"))
    assert message.subject_line == "a Bcc: b@example.com"


def test_wrong_parameters_are_a_mistake_of_ours() -> None:
    """Found when the mail is put, not a day later."""
    with pytest.raises(TypeError):
        compose("verify_email", {"url": "https://aitbc.test"})
    with pytest.raises(ValueError, match="unknown"):
        compose("unknown", {})


@pytest.mark.parametrize(
    "address", ["ada@example.com", "a.b+c@sub.example.co.uk", "o'hara@localhost", "дмитрий@пример.рф", "a@b-c.de"]
)
def test_addresses(address: str) -> None:
    """What people have."""
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "a@b@c",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com, eve@example.com",
        "ada@example.com>",
        "<ada@example.com>",
        '"a b"@example.com',
        "ada@[127.0.0.1]",
        "ada@example..com",
        "ada@-example.com",
        ".ada@example.com",
        "a..da@example.com",
        "ada @example.com",
        f"{'a' * 65}@example.com",
        f"ada@{'e' * 64}.com",
        f"ada@{'e.' * 130}com",
        "ada@example.com\0",
        "a\u00adda@example.com",
        "a\u200bda@example.com",
        "a\u202eda@example.com",
        "ada\ufe0f@example.com",
        "a\u3164da@example.com",
        "ada\U000e0041@example.com",
    ],
)
async def test_what_is_no_address_is_not_mailed_to(address: str, post: Post) -> None:
    """ASVS 1.3: neither a header nor the dialogue with a mail server can be continued by an address."""
    async with post.database.read() as session:
        with pytest.raises(ValueError, match="not an e-mail address"):
            await post.mailbox.put(session, address, "verify_email", link="https://aitbc.test")


def test_senders() -> None:
    """With a name or without; a name's specials are quoted where it is written."""
    assert str(parse_sender("no-reply@example.com")) == "no-reply@example.com"
    assert str(parse_sender("AITBC <no-reply@example.com>")) == "AITBC <no-reply@example.com>"
    assert str(parse_sender('"AITBC, Inc." <no-reply@example.com>')) == '"AITBC, Inc." <no-reply@example.com>'
    for wrong in ("AITBC", "AITBC <x>", "AITBC <a@example.com", "A\r\nBcc: b <a@example.com>"):
        with pytest.raises(ValueError, match=r".+"):
            parse_sender(wrong)


async def test_without_a_way_to_send_nothing_is_kept(post: Post) -> None:
    """A link that nobody gets must not lie about until a mail server is configured."""
    mailbox = Mailbox(KEYS, post.clock, works=False)
    async with post.database.write() as session:
        await mailbox.put(session, "ada@example.com", "verify_email", link="https://aitbc.test")
        await session.commit()
    assert await post.rows() == []
