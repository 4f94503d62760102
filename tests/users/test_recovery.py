"""A forgotten password, on both databases."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from tests.users.world import HERE, OTHER_PASSWORD, PASSWORD, SITE, World, refusal

from aitbc_server.actor import operator
from aitbc_server.errors import Code, DomainError
from aitbc_server.users.pace import no_sooner_than
from aitbc_server.users.recovery import Offer

ANN = "ann@example.com"


async def test_a_mailed_link_sets_a_password(world: World) -> None:
    """ASVS 7.4.3, 6.3.7: all sessions end, the new password signs in, and a mail says that it was changed."""
    before = await world.enter()
    await world.accounts.recovery.forgot("ANN@example.com", HERE)
    [(recipient, kind, text)] = world.mailbox.mails
    assert (recipient, kind) == (ANN, "reset_password")
    assert f"{SITE}/reset-password?token=" in text
    assert "1 hour" in text
    token = world.mailbox.token("reset_password")
    assert await world.accounts.recovery.offer(token) == Offer(ANN, is_new=False)
    entry = await world.accounts.recovery.set_password(token, OTHER_PASSWORD, HERE)
    assert await world.sessions.resume(before.token) is None
    signed_in = await world.signed_in(entry.token)
    assert world.mailbox.take() == [(ANN, "password_changed_notice")]
    await refusal(world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE))
    await world.accounts.sign_ins.sign_in(ANN, OTHER_PASSWORD, HERE)
    assert (await world.events())[-1] == (signed_in.tenant_id, "user.password_set", ANN)


async def test_the_link_works_once_for_an_hour_and_only_the_newest(world: World) -> None:
    """ASVS 6.5.1, 6.4.1."""
    await world.member()
    recovery = world.accounts.recovery
    await recovery.forgot(ANN, HERE)
    older = world.mailbox.token("reset_password")
    await recovery.forgot(ANN, HERE)
    token = world.mailbox.token("reset_password")
    await refusal(recovery.set_password(older, OTHER_PASSWORD, HERE), Code.NOT_FOUND)
    assert (await refusal(recovery.set_password(token, "short", HERE))).startswith("password: must have 15")
    await recovery.set_password(token, OTHER_PASSWORD, HERE)
    await refusal(recovery.set_password(token, PASSWORD, HERE), Code.NOT_FOUND)
    await recovery.forgot(ANN, HERE)
    token = world.mailbox.token("reset_password")
    world.pass_time(timedelta(hours=1))
    await refusal(recovery.offer(token), Code.NOT_FOUND)


async def test_two_that_use_a_link_at_once(world: World) -> None:
    """ASVS 2.3.4: one sets the password, the other is told that the link does not work."""
    await world.member()
    await world.accounts.recovery.forgot(ANN, HERE)
    token = world.mailbox.token("reset_password")
    passwords = [f"{OTHER_PASSWORD} {number}" for number in range(4)]
    tries = [world.accounts.recovery.set_password(token, password, HERE) for password in passwords]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, DomainError)]
    assert [error.code for error in refused] == [Code.NOT_FOUND] * 3
    [(number, _)] = [each for each in enumerate(answers) if not isinstance(each[1], BaseException)]
    await world.accounts.sign_ins.sign_in(ANN, passwords[number], HERE)


async def test_nobody_learns_whether_there_is_an_account(world: World) -> None:
    """ASVS 6.3.8: no account, a disabled one: no mail, and no other answer."""
    await world.add_user("bob", disabled=True)
    for email in ("stranger@example.com", "bob@example.com"):
        await world.accounts.recovery.forgot(email, HERE)
    assert world.mailbox.take() == []
    assert (await refusal(world.accounts.recovery.forgot("no address", HERE))).startswith("email: must look like")


async def test_an_account_that_was_not_finished_is_by_the_link(world: World) -> None:
    """It proves the mailbox as well as the first one; the password that was chosen at sign-up is gone."""
    await world.accounts.sign_ups.sign_up(ANN, PASSWORD, HERE)
    first = world.mailbox.token("verify_email")
    await world.accounts.recovery.forgot(ANN, HERE)
    token = world.mailbox.token("reset_password")
    signed_in = await world.signed_in((await world.accounts.recovery.set_password(token, OTHER_PASSWORD, HERE)).token)
    assert (signed_in.tenant_id or "").startswith("ann-")
    assert world.mailbox.take() == []
    await refusal(world.accounts.sign_ups.verify(first, PASSWORD, HERE), Code.NOT_FOUND)


async def test_a_link_is_void_once_the_account_is_disabled(world: World) -> None:
    """ASVS 7.4.2: nobody comes back by a mail from before."""
    await world.member()
    await world.accounts.recovery.forgot(ANN, HERE)
    token = world.mailbox.token("reset_password")
    await world.accounts.administration.disable(operator("disable-user", "operator"), ANN)
    await refusal(world.accounts.recovery.set_password(token, OTHER_PASSWORD, HERE), Code.NOT_FOUND)


async def test_an_account_that_is_disabled_is_not_finished(world: World) -> None:
    """ASVS 7.4.2: an operator closed it before its owner followed the link of the sign-up."""
    disable = operator("disable-user", "operator")
    await world.accounts.sign_ups.sign_up(ANN, PASSWORD, HERE)
    await world.accounts.administration.disable(disable, ANN)
    token = world.mailbox.token("verify_email")
    await refusal(world.accounts.sign_ups.verify(token, PASSWORD, HERE), Code.NOT_FOUND)
    await world.accounts.sign_ups.sign_up(ANN, PASSWORD, HERE)
    assert world.mailbox.take() == []


@pytest.mark.parametrize("raises", [False, True])
async def test_an_answer_comes_no_sooner_than_the_floor(raises: bool) -> None:
    """ASVS 6.3.8: however it ends, and however quickly."""
    start = time.monotonic()
    try:
        async with no_sooner_than(0.05):
            if raises:
                int("not a number")
    except ValueError:
        assert raises
    assert 0.05 <= time.monotonic() - start < 0.5
