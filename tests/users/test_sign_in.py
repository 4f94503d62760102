"""Signing in and out, on both databases."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import msgspec
import pytest
from argon2 import PasswordHasher
from sqlalchemy import update
from tests.users.world import HERE, OTHER_PASSWORD, PASSWORD, World, refusal

from aitbc_server.clock import now
from aitbc_server.errors import Code, DomainError
from aitbc_server.users.events import Origin
from aitbc_server.users.model import UserRow

ANN = "ann@example.com"
ELSEWHERE = Origin(client_ip="198.51.100.7")


async def test_an_address_and_a_password_sign_in(world: World) -> None:
    """Each sign-in is a session of its own with a new token (ASVS 7.2.4); the address in any case."""
    first = await world.enter()
    second = await world.accounts.sign_ins.sign_in(" ANN@example.com", PASSWORD, HERE)
    assert first.token != second.token
    ids = {(await world.signed_in(entry.token)).session_id for entry in (first, second)}
    assert len(ids) == 2
    signed_in = await world.signed_in(second.token)
    assert (signed_in.tenant_id, "user.signed_in", ANN) in await world.events(but="")


async def test_a_browser_has_one_session(world: World) -> None:
    """ASVS 7.2.4: the one that it had ends on the server, whoever signs in next in it, and in whatever way."""
    [first, elsewhere] = [await world.enter(), await world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE)]
    again = msgspec.structs.replace(HERE, session=first.token)
    second = await world.accounts.sign_ins.sign_in(ANN, PASSWORD, again)
    assert await world.sessions.resume(first.token) is None
    await world.accounts.sign_ups.sign_up("bob@example.com", PASSWORD, HERE)
    again = msgspec.structs.replace(HERE, session=second.token)
    third = await world.accounts.sign_ups.verify(world.mailbox.token("verify_email"), PASSWORD, again)
    assert await world.sessions.resume(second.token) is None
    await refusal(world.accounts.sign_ins.sign_in(ANN, "wrong", msgspec.structs.replace(HERE, session=third.token)))
    assert (await world.signed_in(third.token)).email == "bob@example.com", "a guess ends nothing"
    assert (await world.signed_in(elsewhere.token)).email == ANN, "another browser's goes on"


async def test_whatever_is_wrong_the_answer_is_the_same(world: World) -> None:
    """ASVS 6.3.8: no such account, not finished, disabled, another password: nobody learns which."""
    await world.member()
    await world.member("bob")
    await world.add_user("nobody")
    await world.accounts.sign_ups.sign_up("eve@example.com", PASSWORD, HERE)
    async with world.database.write() as session:
        disabled = update(UserRow).where(UserRow.email == "bob@example.com").values(disabled_at=now(world.clock))
        await session.execute(disabled)
        await session.commit()
    tries = [
        (ANN, OTHER_PASSWORD),
        (ANN, PASSWORD + " "),
        (ANN, PASSWORD.upper()),
        (ANN, ""),
        (ANN, "x" * 60_000),
        ("eve@example.com", PASSWORD),
        ("bob@example.com", PASSWORD),
        ("nobody@example.com", ""),
        ("stranger@example.com", PASSWORD),
        ("no address \0", PASSWORD),
        ("x" * 60_000, PASSWORD),
    ]
    answers = {await refusal(world.accounts.sign_ins.sign_in(email, password, HERE)) for email, password in tries}
    assert answers == {"There is no account with this e-mail address and password."}


async def test_every_step_is_logged_and_nothing_that_was_typed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """ASVS 16.3.1, 16.2.1, 16.2.5: who, what, from where; of an unknown account not even its name."""
    caplog.set_level(logging.INFO, logger="aitbc_server.users")
    signed_in = await world.member()
    await refusal(world.accounts.sign_ins.sign_in(ANN, OTHER_PASSWORD, HERE))
    await refusal(world.accounts.sign_ins.sign_in(OTHER_PASSWORD, PASSWORD, HERE))
    token = (await world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE)).token
    await world.accounts.sign_ins.sign_out(await world.signed_in(token), HERE)
    lines = [(each.getMessage(), getattr(each, "user_id", None), each.client_ip) for each in caplog.records]  # type: ignore[attr-defined]
    assert [line for line in lines if "sign" in line[0]] == [
        ("a sign-up", signed_in.user_id, "192.0.2.1"),
        ("a sign-in failed", signed_in.user_id, "192.0.2.1"),
        ("a sign-in failed", None, "192.0.2.1"),
        ("user.signed_in", signed_in.user_id, "192.0.2.1"),
        ("user.signed_out", signed_in.user_id, "192.0.2.1"),
    ]
    for secret in (PASSWORD, OTHER_PASSWORD, token):
        assert secret not in caplog.text


async def test_signing_out_ends_this_session_alone(world: World) -> None:
    """ASVS 7.4.1."""
    first = await world.enter()
    second = await world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE)
    await world.accounts.sign_ins.sign_out(await world.signed_in(first.token), HERE)
    assert await world.sessions.resume(first.token) is None
    assert await world.sessions.resume(second.token)


async def test_an_overload_is_no_guess(world: World) -> None:
    """ASVS 16.5.2: who is asked to come again has not failed."""
    await world.member()
    hashes = world.accounts.sign_ins._parts.hashes
    hashes._under_way, free = hashes._most, hashes._under_way
    for _ in range(20):
        await refusal(world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE), Code.UNAVAILABLE)
    hashes._under_way = free
    await world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE)


async def test_guesses_from_one_place_are_held_up(world: World) -> None:
    """ASVS 6.1.1, 6.3.1: ten in a quarter of an hour, then nothing from there, the right password included.

    The owner goes on elsewhere: nobody is locked out by others.
    """
    await world.member()
    for _ in range(10):
        await refusal(world.accounts.sign_ins.sign_in(ANN, OTHER_PASSWORD, HERE))
    text = await refusal(world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE), Code.TOO_MANY_FAILURES)
    assert text == "Too many wrong passwords in a short time. Try again in 16 minutes."
    await world.accounts.sign_ins.sign_in(ANN, PASSWORD, ELSEWHERE)
    world.pass_time(timedelta(minutes=15))
    await world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE)


async def test_accounts_that_are_not_there_are_held_up_alike(world: World) -> None:
    """ASVS 6.3.8: the limit says nothing of whether there is an account."""
    for _ in range(10):
        await refusal(world.accounts.sign_ins.sign_in("no@example.com", PASSWORD, HERE))
    await refusal(world.accounts.sign_ins.sign_in("no@example.com", PASSWORD, HERE), Code.TOO_MANY_FAILURES)


async def test_many_guesses_at_once_are_no_way_around(world: World) -> None:
    """ASVS 2.3.4, 15.4.2: a try counts when it begins."""
    await world.member()
    tries = [world.accounts.sign_ins.sign_in(ANN, OTHER_PASSWORD, HERE) for _ in range(20)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    codes = [answer.code for answer in answers if isinstance(answer, DomainError)]
    assert codes.count(Code.VALIDATION_ERROR) == 10
    assert codes.count(Code.TOO_MANY_FAILURES) == 10


async def test_right_passwords_do_not_count(world: World) -> None:
    """Whoever signs in often is not taken for somebody who guesses."""
    await world.member()
    for _ in range(20):
        await world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE)


async def test_guesses_from_many_places_do_not_lock_the_owner_out(world: World) -> None:
    """ASVS 6.1.1: the account's own limit holds for strangers, not for a browser that its owner has used before.

    Another person's browser is a stranger, and a browser that is known is no way to guess on.
    """
    known = await world.enter()
    bobs = await world.enter("bob")
    for number in range(50):
        await refusal(world.accounts.sign_ins.sign_in(ANN, OTHER_PASSWORD, Origin(client_ip=f"203.0.113.{number}")))
    for browser in (None, "", "x", "é", known.browser[:-2], known.browser[::-1], bobs.browser):
        origin = msgspec.structs.replace(ELSEWHERE, browser=browser)
        await refusal(world.accounts.sign_ins.sign_in(ANN, PASSWORD, origin), Code.TOO_MANY_FAILURES)
    owner = msgspec.structs.replace(ELSEWHERE, browser=known.browser)
    await world.accounts.sign_ins.sign_in(ANN, PASSWORD, owner)
    for number in range(10):
        guessing = Origin(client_ip=f"203.0.113.{number}", browser=known.browser)
        await refusal(world.accounts.sign_ins.sign_in(ANN, OTHER_PASSWORD, guessing))
    await refusal(world.accounts.sign_ins.sign_in(ANN, PASSWORD, owner), Code.TOO_MANY_FAILURES)
    world.pass_time(timedelta(hours=1))
    await world.accounts.sign_ins.sign_in(ANN, PASSWORD, ELSEWHERE)


async def test_guesses_at_the_owners_own_address_do_not_lock_them_out(world: World) -> None:
    """ASVS 6.1.1: whoever shares the address uses up what strangers have there, for the account or for any.

    The owner's own browser goes on, at the sign-in and where the password is asked for again. It is no way to guess on.
    """
    known = await world.enter()
    for _ in range(10):
        await refusal(world.accounts.sign_ins.sign_in(ANN, OTHER_PASSWORD, HERE))
    for number in range(90):
        await refusal(world.accounts.sign_ins.sign_in(f"user{number}@example.com", PASSWORD, HERE))
    await refusal(world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE), Code.TOO_MANY_FAILURES)
    await refusal(world.accounts.sign_ins.sign_in("bob@example.com", PASSWORD, HERE), Code.TOO_MANY_FAILURES)
    owner = msgspec.structs.replace(HERE, browser=known.browser)
    entry = await world.accounts.sign_ins.sign_in(ANN, PASSWORD, owner)
    signed_in = await world.signed_in(entry.token)
    await world.accounts.sign_ins.confirm(signed_in, PASSWORD, owner)
    for _ in range(10):
        await refusal(world.accounts.sign_ins.confirm(signed_in, OTHER_PASSWORD, owner))
    await refusal(world.accounts.sign_ins.sign_in(ANN, PASSWORD, owner), Code.TOO_MANY_FAILURES)
    world.pass_time(timedelta(minutes=15))
    await world.accounts.sign_ins.sign_in(ANN, PASSWORD, owner)


async def test_a_browser_is_not_known_forever(world: World) -> None:
    """Half a year after the last sign-in it is a stranger again."""
    known = await world.enter()
    world.pass_time(timedelta(days=180))
    for number in range(50):
        await refusal(world.accounts.sign_ins.sign_in(ANN, OTHER_PASSWORD, Origin(client_ip=f"203.0.113.{number}")))
    origin = msgspec.structs.replace(HERE, browser=known.browser)
    await refusal(world.accounts.sign_ins.sign_in(ANN, PASSWORD, origin), Code.TOO_MANY_FAILURES)


async def test_lists_of_stolen_passwords_are_held_up(world: World) -> None:
    """ASVS 6.3.1: a hundred wrong ones an hour from one address, or one IPv6 network, whatever the accounts."""
    await world.member()
    for number in range(100):
        origin = Origin(client_ip=f"2001:db8::{number:x}")
        await refusal(world.accounts.sign_ins.sign_in(f"user{number}@example.com", PASSWORD, origin))
    origin = Origin(client_ip="2001:db8::ffff:1")
    await refusal(world.accounts.sign_ins.sign_in(ANN, PASSWORD, origin), Code.TOO_MANY_FAILURES)
    await world.accounts.sign_ins.sign_in(ANN, PASSWORD, Origin(client_ip="2001:db8:0:1::1"))


async def test_the_password_again_makes_the_session_fresh(world: World) -> None:
    """ASVS 7.2.4, 7.5.3: with a new token; wrong ones are held up like anywhere."""
    entry = await world.enter()
    signed_in = await world.signed_in(entry.token)
    world.pass_time(timedelta(hours=1))
    assert await refusal(world.accounts.sign_ins.confirm(signed_in, OTHER_PASSWORD, HERE)) == (
        "password: is not the right one"
    )
    token = await world.accounts.sign_ins.confirm(signed_in, PASSWORD, HERE)
    assert await world.sessions.resume(entry.token) is None
    assert (await world.signed_in(token)).authenticated_at == now(world.clock)
    for _ in range(9):
        await refusal(world.accounts.sign_ins.confirm(signed_in, OTHER_PASSWORD, HERE))
    await refusal(world.accounts.sign_ins.confirm(signed_in, PASSWORD, HERE), Code.TOO_MANY_FAILURES)
    await refusal(world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE), Code.TOO_MANY_FAILURES)


async def test_an_old_hash_is_renewed_at_sign_in(world: World) -> None:
    """ASVS 11.2.2: with present parameters, without anybody noticing."""
    await world.member()
    user = await world.account(ANN)
    assert user is not None
    assert user.password_hash is not None
    hashes = world.accounts.sign_ins._parts.hashes
    version = user.password_hash.partition("$")[0]
    digest = hashes._digest(PASSWORD, version)
    assert digest is not None
    weaker = version + PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(digest)
    async with world.database.write() as session:
        await session.execute(update(UserRow).where(UserRow.email == ANN).values(password_hash=weaker))
        await session.commit()
    await world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE)
    renewed = await world.account(ANN)
    assert renewed is not None
    assert "m=64,t=1,p=1" in (renewed.password_hash or "")
    await world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE)
