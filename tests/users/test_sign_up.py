"""Signing up, on both databases."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.users.world import HERE, OTHER_PASSWORD, PASSWORD, SITE, World, refusal

from aitbc_server.db.engine import Database
from aitbc_server.errors import Code
from aitbc_server.tenants.model import TenantRow
from aitbc_server.users.links import MOST_SIGN_UPS
from aitbc_server.users.model import SessionRow, UserLinkRow, UserRow
from aitbc_server.users.roles import Role

ANN = "ann@example.com"


async def test_from_an_address_to_a_tenant_of_ones_own(world: World) -> None:
    """A mailed link and the password that was chosen: then there is an account with a tenant on the plan free."""
    await world.accounts.sign_ups.sign_up("  Ann@Example.COM ", PASSWORD, HERE)
    [(recipient, kind, text)] = world.mailbox.mails
    assert (recipient, kind) == (ANN, "verify_email")
    assert f"{SITE}/verify-email?token=" in text
    token = world.mailbox.token("verify_email")
    assert await world.accounts.sign_ups.offered_email(token) == ANN
    assert await world.count(SessionRow) == 0
    signed_in = await world.signed_in((await world.accounts.sign_ups.verify(token, PASSWORD, HERE)).token)
    assert (signed_in.email, signed_in.name, signed_in.role) == (ANN, "ann", Role.OWNER)
    assert not signed_in.is_operator
    tenant_id = signed_in.tenant_id or ""
    assert re.fullmatch("ann-[a-z2-9]{8}", tenant_id)
    async with world.database.read() as session:
        tenant = await session.get(TenantRow, tenant_id)
    assert tenant is not None
    assert (tenant.name, tenant.plan_id, tenant.suspended_at) == ("ann", "free", None)
    assert await world.events() == [(tenant_id, "tenant.created", ANN), (tenant_id, "user.created", ANN)]
    assert tenant_id in world.stale


async def test_links_of_one_account_are_used_one_after_another(world: World) -> None:
    """ASVS 15.4.2: of several at once, of whatever kind, one makes the account; none waits for the others for ever."""
    for name in ("ann", "bob", "cid"):
        email, sign_ups = f"{name}@example.com", world.accounts.sign_ups
        await world.accounts.sign_ups.sign_up(email, PASSWORD, HERE)
        tokens = [world.mailbox.token("verify_email")]
        for _ in range(MOST_SIGN_UPS - 1):
            await sign_ups.sign_up(email, PASSWORD, HERE)
            tokens.append(world.mailbox.token("verify_email"))
        await world.accounts.recovery.forgot(email, HERE)
        reset = world.accounts.recovery.set_password(world.mailbox.token("reset_password"), OTHER_PASSWORD, HERE)
        used = [sign_ups.verify(token, PASSWORD, HERE) for token in tokens]
        ends = await asyncio.gather(reset, *used, return_exceptions=True)
        refused = [end for end in ends if isinstance(end, BaseException)]
        assert len(refused) == len(tokens)
        assert {getattr(end, "code", end) for end in refused} == {Code.NOT_FOUND}
        user = await world.account(email)
        assert user is not None
        assert user.verified_at is not None


async def test_a_link_works_once_and_for_a_day(world: World) -> None:
    """ASVS 6.4.1, 6.5.1: used, expired, altered or of another kind: it makes nobody."""
    sign_ups = world.accounts.sign_ups
    await sign_ups.sign_up(ANN, PASSWORD, HERE)
    token = world.mailbox.token("verify_email")
    await world.accounts.recovery.forgot(ANN, HERE)
    other_kind = world.mailbox.token("reset_password")
    for wrong in ("", token[:-1], token[::-1], token + "x", other_kind, "é" * 43):
        assert "does not work" in await refusal(sign_ups.verify(wrong, PASSWORD, HERE), Code.NOT_FOUND)
    world.pass_time(timedelta(hours=24))
    assert "does not work" in await refusal(sign_ups.verify(token, PASSWORD, HERE), Code.NOT_FOUND)
    await sign_ups.sign_up(ANN, PASSWORD, HERE)
    token = world.mailbox.token("verify_email")
    await sign_ups.verify(token, PASSWORD, HERE)
    assert "does not work" in await refusal(sign_ups.verify(token, PASSWORD, HERE), Code.NOT_FOUND)
    assert await world.count(UserRow) == 1


async def test_only_digests_of_links_are_kept(world: World) -> None:
    """ASVS 6.5.2: a copy of the database follows no link."""
    await world.accounts.sign_ups.sign_up(ANN, PASSWORD, HERE)
    token = world.mailbox.token("verify_email")
    async with world.database.read() as session:
        [row] = (await session.scalars(select(UserLinkRow))).all()
    assert token not in repr(vars(row))
    assert len(row.digest) == 32
    await refusal(world.accounts.sign_ups.offered_email(row.digest.hex()[:43]), Code.NOT_FOUND)


async def test_nobody_gets_into_an_account_that_they_began_for_somebody_else(world: World) -> None:
    """Who signs up with another's address has no link; whom the link reaches does not know that password.

    Both sign-ups wait side by side, so that neither spoils the other's.
    """
    sign_ups = world.accounts.sign_ups
    await sign_ups.sign_up(ANN, OTHER_PASSWORD, HERE)
    strangers = world.mailbox.token("verify_email")
    await sign_ups.sign_up(ANN, PASSWORD, HERE)
    own = world.mailbox.token("verify_email")
    await sign_ups.sign_up(ANN, OTHER_PASSWORD, HERE)
    later = world.mailbox.token("verify_email")
    assert "is not the one that you chose" in await refusal(sign_ups.verify(strangers, PASSWORD, HERE))
    await refusal(sign_ups.verify(own, OTHER_PASSWORD, HERE))
    await sign_ups.verify(own, PASSWORD, HERE)
    for token in (strangers, later):
        await refusal(sign_ups.verify(token, OTHER_PASSWORD, HERE), Code.NOT_FOUND)
    await refusal(world.accounts.sign_ins.sign_in(ANN, OTHER_PASSWORD, HERE))
    await world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE)


async def test_the_password_of_a_link_cannot_be_guessed_on_and_on(world: World) -> None:
    """ASVS 6.3.1: ten tries in a quarter of an hour."""
    await world.accounts.sign_ups.sign_up(ANN, PASSWORD, HERE)
    token = world.mailbox.token("verify_email")
    for _ in range(10):
        await refusal(world.accounts.sign_ups.verify(token, OTHER_PASSWORD, HERE))
    await refusal(world.accounts.sign_ups.verify(token, PASSWORD, HERE), Code.TOO_MANY_FAILURES)
    world.pass_time(timedelta(minutes=15))
    await world.accounts.sign_ups.verify(token, PASSWORD, HERE)


async def test_an_address_that_has_an_account_gets_a_mail_that_says_so(world: World) -> None:
    """ASVS 6.3.8: the page says the same; nothing about the account changes."""
    await world.member()
    before = await world.account(ANN)
    await world.accounts.sign_ups.sign_up(ANN, OTHER_PASSWORD, HERE)
    [(recipient, kind, text)] = world.mailbox.mails
    assert (recipient, kind) == (ANN, "already_have_account")
    assert f"{SITE}/sign-in" in text
    assert f"{SITE}/forgot-password" in text
    after = await world.account(ANN)
    assert before is not None
    assert after is not None
    assert before.password_hash == after.password_hash


@pytest.mark.parametrize("email", ["", "ann", "@example.com", "ann@", "a b@example.com", "ann@example.com\nx", "a@b@c"])
async def test_what_is_no_address(world: World, email: str) -> None:
    """ASVS 2.2.1: it is said, and nothing is sent."""
    assert (await refusal(world.accounts.sign_ups.sign_up(email, PASSWORD, HERE))).startswith("email: must look like")
    assert world.mailbox.mails == []


async def test_what_is_no_password(world: World) -> None:
    """ASVS 6.2.1, 6.2.4: it is said before anything is stored."""
    for password in ("short", "passwordpassword", "welcome ann@example.com"):
        assert (await refusal(world.accounts.sign_ups.sign_up(ANN, password, HERE))).startswith("password: ")
    assert await world.count(UserRow) == 0


@pytest.mark.parametrize("policy", ["invite", "closed", ""])
async def test_strangers_are_let_in_only_where_that_is_wanted(database: Database, policy: str) -> None:
    """ASVS 6.3.2: by default nobody makes an account by themselves."""
    world = World(database, sign_up=policy)
    text = await refusal(world.accounts.sign_ups.sign_up(ANN, PASSWORD, HERE), Code.INSUFFICIENT_SCOPE)
    assert ("by the operator" if policy == "closed" else "by invitation") in text
    assert await world.count(UserRow) == 0


async def test_where_no_mail_is_sent_nobody_signs_up(world: World) -> None:
    """A link that reaches nobody would be a promise that is not kept."""
    world.mailbox.works = False
    text = await refusal(world.accounts.sign_ups.sign_up(ANN, PASSWORD, HERE), Code.INSUFFICIENT_SCOPE)
    assert "sends no mails" in text


async def test_nobody_is_flooded_with_mails(world: World) -> None:
    """ASVS 2.4.1, 6.1.1: six an hour for one recipient, whether or not they have an account.

    Mails that set a password are counted for themselves: whoever has others sent to somebody, and wrong passwords
    counted for them, does not keep them from their account.
    """
    sign_ups, recovery = world.accounts.sign_ups, world.accounts.recovery
    await world.member("bob")
    world.pass_time(timedelta(hours=1))
    for name in ("ann", "bob"):
        for _ in range(6):
            await sign_ups.sign_up(f"{name}@example.com", PASSWORD, HERE)
        for _ in range(6):
            await recovery.forgot(f"{name}@example.com", HERE)
        for again in (
            sign_ups.sign_up(f"{name}@example.com", PASSWORD, HERE),
            recovery.forgot(f"{name}@example.com", HERE),
        ):
            text = await refusal(again, Code.TOO_MANY_FAILURES)
            assert text == "Too many mails in a short time. Try again in 61 minutes."
        assert len(world.mailbox.mails) == 12
        await recovery.offer(world.mailbox.token("reset_password"))
    world.pass_time(timedelta(minutes=61))
    await recovery.forgot("ann@example.com", HERE)


async def test_one_address_begins_only_so_many_accounts(world: World) -> None:
    """ASVS 2.4.1: twenty an hour."""
    for number in range(20):
        await world.accounts.sign_ups.sign_up(f"ann{number}@example.com", PASSWORD, HERE)
    again = world.accounts.sign_ups.sign_up("other@example.com", PASSWORD, HERE)
    assert "Too many accounts" in await refusal(again, Code.TOO_MANY_FAILURES)


async def test_the_first_person_on_a_development_server_owns_what_is_there(database: Database) -> None:
    """Design 10: they own test-tenant and are the operator; the next one is a person like any other."""
    world = World(database, first_account_owns="test-tenant")
    await world.add_tenant("test-tenant")
    first, second = await world.member("ann"), await world.member("bob")
    assert (first.tenant_id, first.role, first.is_operator) == ("test-tenant", Role.OWNER, True)
    assert len(first.memberships) == 1
    assert (second.role, second.is_operator) == (Role.OWNER, False)
    assert (second.tenant_id or "").startswith("bob-")


async def test_what_nobody_finishes_is_forgotten(world: World) -> None:
    """The address is free again; accounts that are finished, and links that work, stay."""
    await world.member("bob")
    await world.accounts.sign_ups.sign_up(ANN, PASSWORD, HERE)
    world.pass_time(timedelta(hours=23))
    await world.accounts.purge()
    assert (await world.count(UserRow), await world.count(UserLinkRow)) == (2, 1)
    world.pass_time(timedelta(hours=1))
    await world.accounts.purge()
    assert await world.account(ANN) is None
    assert (await world.count(UserRow), await world.count(UserLinkRow)) == (1, 0)
