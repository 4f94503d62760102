"""Sessions, on both databases."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update
from tests.users.people import People

from aitbc_server.clock import now
from aitbc_server.errors import DomainError
from aitbc_server.users.model import MembershipRow, SessionRow, UserRow
from aitbc_server.users.roles import Role
from aitbc_server.users.sessions import ABSOLUTE_TIMEOUT, IDLE_TIMEOUT, Membership, SignedIn

STEP = timedelta(milliseconds=1)


async def resumed(people: People, token: str) -> SignedIn:
    """Who this token signs in."""
    signed_in = await people.sessions.resume(token)
    assert signed_in is not None
    return signed_in


async def test_a_session_says_who_is_signed_in(people: People) -> None:
    """The person, their tenants with their own first, and what they are in the one that they look at."""
    await people.add_tenant("own")
    await people.add_tenant("firm", suspended=True)
    ann = await people.add_user("ann", ("own", Role.OWNER))
    people.pass_time(STEP)
    await people.add(MembershipRow(tenant_id="firm", user_id=ann, role="viewer", created_at=now(people.clock)))
    signed_in = await resumed(people, await people.sign_in(ann))
    own = Membership(tenant_id="own", tenant_name="Own", role=Role.OWNER)
    firm = Membership(tenant_id="firm", tenant_name="Firm", role=Role.VIEWER, suspended=True)
    assert (signed_in.user_id, signed_in.email, signed_in.name) == (ann, "ann@example.com", "Ann")
    assert (signed_in.tenant_id, signed_in.role, signed_in.is_operator) == ("own", Role.OWNER, False)
    assert signed_in.memberships == (own, firm)
    assert signed_in.authenticated_at == now(people.clock)


async def test_somebody_in_no_tenant_is_signed_in_all_the_same(people: People) -> None:
    """An operator, say; the pages of a tenant are not for them."""
    signed_in = await resumed(people, await people.sign_in(await people.add_user("ann", is_operator=True)))
    assert (signed_in.tenant_id, signed_in.role, signed_in.memberships) == (None, None, ())
    assert signed_in.is_operator


async def test_tokens_are_random_and_only_their_digest_is_kept(people: People) -> None:
    """ASVS 7.2.3, 6.5.2: 256 random bits each time; a copy of the database signs nobody in."""
    ann = await people.add_user("ann")
    tokens = [await people.sign_in(ann) for _ in range(3)]
    assert len(set(tokens)) == 3
    assert {len(base64.urlsafe_b64decode(token + "=")) for token in tokens} == {32}
    async with people.database.read() as session:
        rows = (await session.scalars(select(SessionRow))).all()
    assert {row.digest for row in rows} == {hashlib.sha256(token.encode()).digest() for token in tokens}
    stored = repr([vars(row) for row in rows])
    assert not any(token in stored for token in tokens)
    for row in rows:
        assert await people.sessions.resume(row.digest.hex()) is None
        assert await people.sessions.resume(row.id) is None


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "é" * 43, "\0" * 43, "x" * 10_000])
async def test_what_is_no_token_signs_nobody_in(people: People, token: str) -> None:
    """Anything at all may stand in a cookie."""
    await people.sign_in(await people.add_user("ann"))
    assert await people.sessions.resume(token) is None


async def test_a_session_that_is_not_used_ends(people: People) -> None:
    """ASVS 7.3.1: 12 hours after its last use; each use counts, though at most one a minute is written down."""
    token = await people.sign_in(await people.add_user("ann"))
    for _ in range(3):
        people.pass_time(IDLE_TIMEOUT - STEP)
        assert await people.sessions.resume(token)
    people.pass_time(timedelta(seconds=59))
    assert await people.sessions.resume(token)
    people.pass_time(IDLE_TIMEOUT - timedelta(seconds=59))
    assert await people.sessions.resume(token) is None


async def test_a_session_ends_after_a_week_whatever_happens(people: People) -> None:
    """ASVS 7.3.2: use does not prolong it."""
    token = await people.sign_in(await people.add_user("ann"))
    for _ in range(13):
        people.pass_time(IDLE_TIMEOUT - STEP)
        assert await people.sessions.resume(token)
    people.pass_time(ABSOLUTE_TIMEOUT - 13 * (IDLE_TIMEOUT - STEP))
    assert await people.sessions.resume(token) is None


async def test_signing_out_ends_the_session_on_the_server(people: People) -> None:
    """ASVS 7.4.1: a copy of the cookie opens nothing any more."""
    ann = await people.add_user("ann")
    token, other = await people.sign_in(ann), await people.sign_in(ann)
    await people.sessions.end(token)
    await people.sessions.end(token)
    assert await people.sessions.resume(token) is None
    assert await people.sessions.resume(other)


@pytest.mark.parametrize("column", ["disabled_at", "verified_at"])
async def test_who_may_not_sign_in_any_more_is_signed_out(people: People, column: str) -> None:
    """ASVS 7.4.2, 8.3.2: the account is looked at on every request, not only at sign-in."""
    ann = await people.add_user("ann")
    token = await people.sign_in(ann)
    value = now(people.clock) if column == "disabled_at" else None
    async with people.database.write() as session:
        await session.execute(update(UserRow).where(UserRow.id == ann).values({column: value}))
        await session.commit()
    assert await people.sessions.resume(token) is None


async def test_people_see_and_end_their_sessions_one_by_one(people: People) -> None:
    """ASVS 7.5.2: theirs and nobody else's; one that is over is not shown."""
    ann, bob = await people.add_user("ann"), await people.add_user("bob")
    over = await people.sign_in(ann)
    people.pass_time(IDLE_TIMEOUT)
    first = await people.sign_in(ann)
    people.pass_time(timedelta(minutes=5))
    second, bobs = await people.sign_in(ann), await people.sign_in(bob)
    shown = await people.sessions.list(ann)
    current = (await resumed(people, second)).session_id
    assert [each.id for each in shown] == [current, (await resumed(people, first)).session_id]
    assert (shown[0].client_ip, shown[0].user_agent) == ("192.0.2.1", "Browser/1.0 (X)")
    bobs_id = (await resumed(people, bobs)).session_id
    for theirs in (bobs_id, "ses_none"):
        with pytest.raises(DomainError) as refused:
            await people.sessions.end_one(ann, theirs)
        assert refused.value.code == "not_found"
    await people.sessions.end_one(ann, shown[1].id)
    assert await people.sessions.resume(first) is None
    assert await people.sessions.resume(over) is None
    assert await people.sessions.resume(second)
    assert await people.sessions.resume(bobs)


async def test_people_end_all_their_other_sessions(people: People) -> None:
    """ASVS 7.4.3, 7.5.2: all but the one at hand; or all, for whoever disables an account."""
    ann, bob = await people.add_user("ann"), await people.add_user("bob")
    here, *others = [await people.sign_in(ann) for _ in range(4)]
    bobs = await people.sign_in(bob)
    assert await people.sessions.end_others(ann, (await resumed(people, here)).session_id) == 3
    assert [await people.sessions.resume(token) for token in others] == [None] * 3
    assert await people.sessions.resume(here)
    async with people.units.begin() as unit:
        assert await people.sessions.end_all(unit.session, ann) == 1
        await unit.commit()
    assert await people.sessions.resume(here) is None
    assert await people.sessions.resume(bobs)


async def test_whose_sessions_ended_is_told_once_it_is_so(people: People) -> None:
    """However they end: after the commit, and not where there is none. An end that ends nothing tells nothing."""
    told: list[str] = []
    people.sessions.on_end(told.append)
    ann = await people.add_user("ann")
    tokens = [await people.sign_in(ann) for _ in range(4)]
    async with people.units.begin() as unit:
        await people.sessions.end_all(unit.session, ann)
        await unit.session.rollback()
    async with people.units.begin() as unit:
        await people.sessions.end_with(unit.session, tokens[0])
        assert told == []
        await unit.commit()
    assert told == [ann]
    await people.sessions.end(tokens[0])
    await people.sessions.end("no token")
    assert told == [ann]
    first, second, last = [await resumed(people, token) for token in tokens[1:]]
    await people.sessions.end_one(ann, first.session_id)
    await people.sessions.end_others(ann, last.session_id)
    async with people.units.begin() as unit:
        await people.sessions.end_this(unit.session, last)
        await unit.commit()
    assert told == [ann] * 4
    assert await people.sessions.list(second.user_id) == []


async def test_giving_the_password_again_makes_a_new_token(people: People) -> None:
    """ASVS 7.2.4: the old token is worth nothing from then on; the session stays the one in the list."""
    ann = await people.add_user("ann")
    token = await people.sign_in(ann)
    before = await resumed(people, token)
    people.pass_time(timedelta(hours=1))
    async with people.units.begin() as unit:
        renewed = await people.sessions.renew(unit.session, ann, before.session_id)
        await unit.commit()
    assert await people.sessions.resume(token) is None
    after = await resumed(people, renewed)
    assert (after.session_id, after.authenticated_at) == (before.session_id, now(people.clock))


async def test_a_session_looks_at_the_tenant_that_was_chosen(people: People) -> None:
    """As long as the person is in it; at no tenant that they are not in. (ASVS 8.3.2, 8.4.1)"""
    for tenant in ("own", "firm", "foreign"):
        await people.add_tenant(tenant)
    ann = await people.add_user("ann", ("firm", Role.DEVELOPER), ("own", Role.OWNER))
    token = await people.sign_in(ann)
    session_id = (await resumed(people, token)).session_id
    await people.sessions.choose_tenant(ann, session_id, "own")
    assert (await resumed(people, token)).role is Role.OWNER
    for tenant in ("foreign", "none"):
        with pytest.raises(DomainError) as refused:
            await people.sessions.choose_tenant(ann, session_id, tenant)
        assert refused.value.code == "not_found"
    async with people.database.write() as session:
        await session.execute(delete(MembershipRow).where(MembershipRow.tenant_id == "own"))
        await session.commit()
    assert (await resumed(people, token)).tenant_id == "firm"


async def test_what_is_over_is_deleted(people: People) -> None:
    """A table of sessions holds no more than those that work."""
    ann = await people.add_user("ann")
    await people.sign_in(ann)
    people.pass_time(IDLE_TIMEOUT)
    token = await people.sign_in(ann)
    await people.sessions.purge()
    assert await people.count(SessionRow) == 1
    assert await people.sessions.resume(token)
