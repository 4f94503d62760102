"""Passwords at rest."""

from __future__ import annotations

import asyncio
import statistics
import time

import pytest
from argon2 import PasswordHasher, extract_parameters

from aitbc_server.errors import Code, DomainError
from aitbc_server.secret_keys import SecretKeys
from aitbc_server.users.passwords import PasswordHashes

OLD, NEW = b"o" * 32, b"n" * 32
PASSWORD = "correct horse battery staple"


@pytest.fixture
def hashes() -> PasswordHashes:
    """Hashes under one secret key."""
    return PasswordHashes(SecretKeys([NEW]))


async def test_the_parameters_are_no_weaker_than_recommended(hashes: PasswordHashes) -> None:
    """ASVS 11.4.2, 11.2.1: Argon2id, 19 MiB, 2 passes; a salt of its own for each."""
    first, second = await hashes.hash(PASSWORD), await hashes.hash(PASSWORD)
    assert first != second
    version, _, text = first.partition("$")
    assert version == SecretKeys([NEW]).newest
    parameters = extract_parameters("$" + text)
    assert (parameters.type.name, parameters.salt_len, parameters.hash_len) == ("ID", 16, 32)
    assert parameters.memory_cost >= 19 * 1024
    assert parameters.time_cost >= 2
    assert len(first) <= 255


async def test_only_the_very_password_is_right(hashes: PasswordHashes) -> None:
    """ASVS 6.2.8: as it was received: no folding of case, no cutting off, no normalising, no trimming."""
    long = "ä" * 999
    for password in (PASSWORD, long, "\0" * 15, "e\u0301" * 8):
        assert (await hashes.verify(await hashes.hash(password), password)).ok
    stored = await hashes.hash(long + "x")
    for wrong in (long, long + "X", long + "xx", long + "x ", "a\u0308" * 999 + "x", "", "\udc80"):
        assert not (await hashes.verify(stored, wrong)).ok


async def test_the_hash_alone_is_no_ground_for_guessing(hashes: PasswordHashes) -> None:
    """A copy of the database without the secret key says of no password whether it was right."""
    stored = await hashes.hash(PASSWORD)
    _, dollar, argon2 = stored.partition("$")
    assert not (await PasswordHashes(SecretKeys([OLD])).verify(stored, PASSWORD)).ok
    with pytest.raises(Exception, match="does not match"):
        PasswordHasher().verify(dollar + argon2, PASSWORD)


async def test_a_hash_under_an_old_key_or_old_parameters_is_outdated() -> None:
    """ASVS 11.2.2: it works, and whoever signs in gets a new one; a wrong password says nothing of that."""
    stored = await PasswordHashes(SecretKeys([OLD])).hash(PASSWORD)
    rotated = PasswordHashes(SecretKeys([NEW, OLD]))
    verified = await rotated.verify(stored, PASSWORD)
    assert (verified.ok, verified.outdated) == (True, True)
    assert not (await rotated.verify(stored, "wrong")).outdated
    fresh = await rotated.verify(await rotated.hash(PASSWORD), PASSWORD)
    assert (fresh.ok, fresh.outdated) == (True, False)
    keys = SecretKeys([NEW])
    digest = PasswordHashes(keys)._digest(PASSWORD, keys.newest)
    assert digest is not None
    weak = keys.newest + PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(digest)
    verified = await rotated.verify(weak, PASSWORD)
    assert (verified.ok, verified.outdated) == (True, True)


@pytest.mark.parametrize("stored", [None, "", "$", "nothing", "ffffffff$argon2id$v=19$m=19456,t=2,p=1$AAAA$AAAA"])
async def test_where_no_password_can_be_right_none_is(hashes: PasswordHashes, stored: str | None) -> None:
    """Somebody without a password, or with a hash that is broken, does not sign in, whatever they type."""
    for password in ("", PASSWORD, "\udc80"):
        assert not (await hashes.verify(stored, password)).ok
    broken = f"{SecretKeys([NEW]).newest}$argon2id$v=19$m=19456,t=2,p=1$AAAA"
    assert not (await hashes.verify(broken, PASSWORD)).ok


async def test_nobody_takes_as_long_as_somebody(hashes: PasswordHashes) -> None:
    """ASVS 6.3.8: verifying against no account costs what verifying a wrong password does."""
    stored = await hashes.hash(PASSWORD)
    times: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(15):
        for known in (True, False):
            start = time.process_time()
            await hashes.verify(stored if known else None, "a wrong password")
            times[known].append(time.process_time() - start)
    medians = {known: statistics.median(values) for known, values in times.items()}
    assert medians[False] == pytest.approx(medians[True], rel=0.5)


async def test_only_so_many_wait(hashes: PasswordHashes) -> None:
    """ASVS 2.4.1, 16.5.2: a flood of sign-ins fills no memory: beyond the queue they are told to come again."""
    narrow = PasswordHashes(SecretKeys([NEW]), at_once=1, max_waiting=2)
    async with narrow.running():
        answers = await asyncio.gather(*(narrow.verify(None, PASSWORD) for _ in range(10)), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, DomainError)]
        assert len(refused) == 7
        assert {(error.code, error.headers["retry-after"]) for error in refused} == {(Code.UNAVAILABLE, "2")}
        assert not (await narrow.verify(None, PASSWORD)).ok


async def test_the_loop_goes_on_meanwhile(hashes: PasswordHashes) -> None:
    """A sign-in does not hold up the requests beside it."""
    ticks = 0
    task = asyncio.gather(*(hashes.verify(None, PASSWORD) for _ in range(4)))
    while not task.done():
        await asyncio.sleep(0.001)
        ticks += 1
    assert ticks > 4
