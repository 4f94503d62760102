"""What is in the outbox reaches its reader once, however the mail server and the nodes behave."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from tests.mail.conftest import LINK, Post
from tests.support.mail_server import MailServer

from aitbc_server.mail import sender as sender_module
from aitbc_server.mail.sender import wait_after
from aitbc_server.secret_keys import SecretKeys

ANOTHER = SecretKeys([b"z" * 40])


async def test_a_mail_is_sent_and_its_text_erased(post: Post, server: MailServer) -> None:
    """It arrives with both forms and its link; the outbox remembers that it was sent, and no longer what it said."""
    server.start()
    await post.put()
    await post.sender().step()
    [received] = server.received
    assert received.recipients == ("ada@example.com",)
    assert (received.mail["From"], received.mail["To"]) == ("AITBC <no-reply@aitbc.test>", "ada@example.com")
    assert received.link == LINK
    html = received.mail.get_body(("html",))
    assert html is not None
    assert f'href="{LINK}"' in html.get_content()
    row = await post.row()
    assert (row.sealed, row.attempts, row.error, row.failed_at) == (None, 1, None, None)
    assert row.sent_at == post.clock.timestamp()
    assert received.mail["Message-ID"] == f"<{row.id}@aitbc.test>"
    await post.sender().step()
    assert len(server.received) == 1


async def test_what_is_not_committed_is_not_sent(post: Post, server: MailServer) -> None:
    """A mail belongs to its change: rolled back together, it never was (ASVS 2.3.3)."""
    server.start()
    async with post.database.write() as session:
        await post.mailbox.put(session, "ada@example.com", "verify_email", link=LINK)
        await session.flush()
    await post.sender().step()
    assert (server.received, await post.rows()) == ([], [])


async def test_a_copy_of_the_database_holds_no_live_link(post: Post) -> None:
    """The text is encrypted under a key that is not in the database, and tied to its mail and recipient (S3)."""
    await post.put()
    row = await post.row()
    assert row.sealed is not None
    assert LINK.encode() not in row.sealed
    assert b"Confirm" not in row.sealed
    async with post.database.write() as session:
        await session.execute(text("UPDATE mails SET recipient = 'eve@example.com'"))
        await session.commit()
    await post.sender().step()
    row = await post.row()
    assert row.failed_at is not None
    assert row.error == "its text was changed in the database"


async def test_a_mail_outlives_a_change_of_the_secret_key(post: Post, server: MailServer) -> None:
    """Sealed under a key that is still in force, it is sent; under one that is gone, it is given up with the reason."""
    server.start()
    await post.put()
    await post.sender(keys=SecretKeys([b"n" * 40, b"k" * 40])).step()
    assert len(server.received) == 1
    await post.put()
    await post.sender(keys=ANOTHER).step()
    assert (await post.rows())[-1].error == "it is encrypted under a secret key that is not in force any more"


async def test_a_server_that_is_down_is_tried_again(
    post: Post, server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Later each time, up to an hour; sent when it is back. The log names the mail, not its reader or its link."""
    server.start()
    server.stop()
    await post.put()
    node = post.sender()
    for attempt in range(1, 4):
        await node.step()
        assert (await post.row()).attempts == attempt
        await node.step()
        assert (await post.row()).attempts == attempt, "not before its time"
        post.turn(wait_after(attempt).total_seconds())
    server.start()
    await node.step()
    assert len(server.received) == 1
    assert "tried again" in caplog.text
    assert not any(word in caplog.text for word in ("ada@example.com", LINK))
    assert [wait_after(n).total_seconds() for n in (1, 2, 3, 20)] == [15, 30, 60, 3600]


async def test_after_a_day_it_is_given_up(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    """24 hours after it was put there; its text goes, and the log says so."""
    await post.put()
    node = post.sender()
    began = post.clock.timestamp()
    while (row := await post.row()).failed_at is None:
        await node.step()
        post.turn(max(wait_after(row.attempts + 1).total_seconds(), 60))
    assert 22 <= (row.failed_at - began).total_seconds() / 3600 <= 24
    assert row.sealed is None
    assert row.error
    assert "is given up" in caplog.text


async def test_a_mailbox_that_does_not_exist_is_given_up_at_once(post: Post, server: MailServer) -> None:
    """What the server refuses for good is not sent again and again."""
    server.start()
    server.refused_recipients = {"ada@example.com"}
    await post.put()
    await post.sender().step()
    row = await post.row()
    assert row.failed_at is not None
    assert row.error == "5.1.1 no such mailbox (550)"


async def test_what_a_server_refuses_for_now_is_tried_again(post: Post, server: MailServer) -> None:
    """Greylisting, and refusals of ours that the operator can put right."""
    server.start()
    server.answers = ["451 4.7.1 come back later", "554 5.7.1 not from you"]
    await post.put()
    for attempt in (1, 2, 3):
        await post.sender().step()
        post.turn(wait_after(attempt).total_seconds())
    assert len(server.received) == 1


async def test_two_nodes_never_send_the_same_mail(post: Post, server: MailServer) -> None:
    """They look at the same moment; each mail is claimed by one of them (ASVS 2.3.4)."""
    server.start()
    server.delay_s = 0.05
    for number in range(12):
        await post.put(f"user{number}@example.com")
    await asyncio.gather(post.sender().step(), post.sender().step(), post.sender().step())
    assert sorted(each.recipients[0] for each in server.received) == sorted(f"user{n}@example.com" for n in range(12))


async def test_a_node_that_dies_in_between_loses_nothing(post: Post, server: MailServer) -> None:
    """Its claim lapses, and another one sends the mail, under the same Message-ID; not before."""
    server.start()
    server.delay_s = 30
    await post.put()
    dying = asyncio.create_task(post.sender().step())
    await post.attempted()
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    server.delay_s = 0
    await post.sender().step()
    assert server.received == []
    post.turn(120)
    await post.sender().step()
    assert len(server.received) == 1
    assert (await post.row()).attempts == 2


async def test_the_stop_waits_a_moment_only(post: Post, server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail server that hangs does not hold up the stop of ours; the mail is sent after the next start."""
    monkeypatch.setattr(sender_module, "_STOP_S", 0.1)
    server.start()
    server.delay_s = 30
    await post.put()
    loop = asyncio.get_running_loop()
    async with post.sender().running():
        await post.attempted()
        began_s = loop.time()
    assert loop.time() - began_s < 2
    server.delay_s = 0
    post.turn(120)
    async with post.sender().running():
        await asyncio.to_thread(server.wait_for, 1)


async def test_old_mails_are_forgotten(post: Post, server: MailServer) -> None:
    """A month after; what still waits stays."""
    server.start()
    await post.put()
    await post.sender().step()
    await post.put("waiting@example.com")
    post.turn(31 * 86400)
    await post.sender().purge()
    assert [row.recipient for row in await post.rows()] == ["waiting@example.com"]
