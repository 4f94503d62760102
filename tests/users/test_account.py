"""What people change about their own account, on both databases."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.users.world import HERE, OTHER_PASSWORD, PASSWORD, SITE, World, refusal

from aitbc_server.api_keys.model import ApiKeyGrantRow, ApiKeyRow
from aitbc_server.clock import now
from aitbc_server.db.engine import Database
from aitbc_server.errors import Code
from aitbc_server.tenants.model import TenantRow
from aitbc_server.users.model import MembershipRow, SessionRow, UserLinkRow, UserRow
from aitbc_server.users.roles import Role

ANN = "ann@example.com"
NEW = "ann.lee@example.org"


def key(world: World, kid: str, tenant_id: str, **values: object) -> ApiKeyRow:
    """A key of a tenant."""
    at = now(world.clock)
    return ApiKeyRow(
        kid=kid,
        tenant_id=tenant_id,
        environment="live",
        name=kid,
        scopes=[],
        created_at=at,
        allowed_ips=[],
        metadata_={},
        digest=bytes(32),
        pepper_version="x",
        last4="abcd",
        secret_created_at=at,
        **values,
    )


async def test_a_new_password_needs_the_present_one(world: World) -> None:
    """ASVS 6.2.3, 7.4.3, 6.3.7: all other sessions end, this one gets a new token, and a mail says so."""
    entry = await world.enter()
    other = await world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE)
    signed_in = await world.signed_in(entry.token)
    own = world.accounts.own
    assert (await refusal(own.change_password(signed_in, "wrong", OTHER_PASSWORD, HERE))) == (
        "current_password: is not the right one"
    )
    assert (await refusal(own.change_password(signed_in, PASSWORD, "short", HERE))).startswith(
        "new_password: must have"
    )
    assert (await refusal(own.change_password(signed_in, PASSWORD, PASSWORD, HERE))).startswith(
        "new_password: is the one"
    )
    token = await own.change_password(signed_in, PASSWORD, OTHER_PASSWORD, HERE)
    assert [await world.sessions.resume(each.token) for each in (entry, other)] == [None, None]
    assert (await world.signed_in(token)).session_id == signed_in.session_id
    assert world.mailbox.take() == [(ANN, "password_changed_notice")]
    await refusal(world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE))
    await world.accounts.sign_ins.sign_in(ANN, OTHER_PASSWORD, HERE)
    assert (await world.events())[-1] == (signed_in.tenant_id, "user.password_changed", ANN)


async def test_another_address_is_ours_once_its_link_is_followed(world: World) -> None:
    """ASVS 6.3.7: until then nothing changes; then the old address is told, and its links are void."""
    signed_in = await world.member()
    own = world.accounts.own
    await own.ask_for_email(signed_in, " Ann.Lee@example.org", HERE)
    [(recipient, kind, text)] = world.mailbox.mails
    assert (recipient, kind) == (NEW, "change_email")
    assert f"{SITE}/change-email?token=" in text
    token = world.mailbox.token("change_email")
    await world.accounts.recovery.forgot(ANN, HERE)
    reset = world.mailbox.token("reset_password")
    assert await world.account(NEW) is None
    assert await own.offered_email(signed_in, token) == NEW
    assert await own.change_email(signed_in, token, HERE) == NEW
    user = await world.account(NEW)
    assert user is not None
    assert user.id == signed_in.user_id
    assert world.mailbox.take() == [(ANN, "email_changed_notice")]
    for dead in (
        own.change_email(signed_in, token, HERE),
        world.accounts.recovery.set_password(reset, OTHER_PASSWORD, HERE),
    ):
        await refusal(dead, Code.NOT_FOUND)
    await world.accounts.sign_ins.sign_in(NEW, PASSWORD, HERE)
    assert (signed_in.tenant_id, "user.email_changed", NEW) in await world.events()


async def test_an_address_of_somebody_else_is_not_given_away(world: World) -> None:
    """ASVS 6.3.8: only its owner is told. One who was quicker keeps it; who never proved it does not."""
    own, signed_in = world.accounts.own, await world.member()
    await world.member("bob")
    await own.ask_for_email(signed_in, "bob@example.com", HERE)
    assert world.mailbox.take() == [("bob@example.com", "already_have_account")]
    assert (await refusal(own.ask_for_email(signed_in, ANN.upper(), HERE))) == "email: is the one that your account has"
    await own.ask_for_email(signed_in, NEW, HERE)
    token = world.mailbox.token("change_email")
    await world.member("ann.lee")
    await own.ask_for_email(signed_in, "eve@example.com", HERE)
    to_eve = world.mailbox.token("change_email")
    await world.accounts.sign_ups.sign_up("eve@example.com", OTHER_PASSWORD, HERE)
    await refusal(own.change_email(signed_in, token, HERE), Code.NOT_FOUND)
    await own.change_email(signed_in, to_eve, HERE)
    user = await world.account("eve@example.com")
    assert user is not None
    assert user.id == signed_in.user_id


async def test_how_long_it_takes_gives_no_address_away(database: Database) -> None:
    """ASVS 6.3.8: somebody else's account takes no other time than no account."""
    world = World(database, floor_s=0.2)
    signed_in = await world.member()
    await world.member("bob")
    for email in ("bob@example.com", NEW):
        start = time.monotonic()
        await world.accounts.own.ask_for_email(signed_in, email, HERE)
        assert time.monotonic() - start >= 0.2, email


async def test_an_address_that_was_taken_meanwhile_is_a_conflict(world: World) -> None:
    """Two people followed their links; the first has it."""
    own, signed_in = world.accounts.own, await world.member()
    await own.ask_for_email(signed_in, "bob@example.com", HERE)
    token = world.mailbox.token("change_email")
    await world.member("bob")
    text = await refusal(own.change_email(signed_in, token, HERE), Code.CONFLICT)
    assert text == "There is another account with this address by now."


async def test_a_link_is_of_no_use_to_another_account(world: World) -> None:
    """ASVS 6.4.1: nobody gives their mailbox to an account that is not theirs, and the link goes on for its owner."""
    own, ann, bob = world.accounts.own, await world.member(), await world.member("bob")
    await own.ask_for_email(ann, NEW, HERE)
    token = world.mailbox.token("change_email")
    for work in (own.offered_email(bob, token), own.change_email(bob, token, HERE)):
        text = await refusal(work, Code.INSUFFICIENT_SCOPE)
        assert text.startswith("This link is for another account than the one that you are signed in to.")
        assert ANN not in text
    assert await own.change_email(ann, token, HERE) == NEW


async def test_a_name_is_for_people(world: World) -> None:
    """Recorded with what it was; the same again leaves no trace."""
    signed_in = await world.member()
    for _ in range(2):
        await world.accounts.own.rename(signed_in, "Ann Lee", HERE)
    user = await world.account(ANN)
    assert user is not None
    assert user.name == "Ann Lee"
    assert [event[1] for event in await world.events()].count("user.renamed") == 1
    for name in ("", " ", "x" * 101, "a\nb"):
        assert (await refusal(world.accounts.own.rename(signed_in, name, HERE))).startswith("name: ")


async def test_sessions_are_ended_one_by_one_or_all_others(world: World) -> None:
    """ASVS 7.5.2, 7.4.3: and it is recorded."""
    entry = await world.enter()
    signed_in = await world.signed_in(entry.token)
    others = [await world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE) for _ in range(3)]
    own = world.accounts.own
    ended = (await world.signed_in(others[0].token)).session_id
    await own.end_session(signed_in, ended, HERE)
    await refusal(own.end_session(signed_in, ended, HERE), Code.NOT_FOUND)
    assert {each.id for each in await own.sessions(signed_in)} == {
        (await world.signed_in(each.token)).session_id for each in (entry, *others[1:])
    }
    assert await own.end_other_sessions(signed_in, HERE) == 2
    assert [each.id for each in await own.sessions(signed_in)] == [signed_in.session_id]
    assert [event[1] for event in await world.events()][-2:] == ["user.session_ended", "user.sessions_ended"]


async def test_a_deleted_account_leaves_nothing_that_works(world: World) -> None:
    """ASVS 7.4.2: its sessions end; in tenants that nobody else is in, keys are revoked and the tenant is suspended.

    Elsewhere the keys are revoked that stand for the person; others that they made are the tenant's.
    """
    entry = await world.enter()
    signed_in = await world.signed_in(entry.token)
    own = signed_in.tenant_id or ""
    await world.add_tenant("firm")
    await world.add_user("bob", ("firm", Role.OWNER))
    await world.add(
        MembershipRow(tenant_id="firm", user_id=signed_in.user_id, role="developer", created_at=now(world.clock)),
        key(world, "own000000001", own),
        key(world, "own000000002", own, revoked_at=now(world.clock)),
        key(world, "firm00000001", "firm", created_by=signed_in.user_id),
        key(world, "firm00000002", "firm"),
        key(world, "firm00000003", "firm", created_by=signed_in.user_id, user_id=signed_in.user_id),
    )
    await world.add(
        ApiKeyGrantRow(kid="firm00000002", tenant_id=own, granted_by=signed_in.user_id, granted_at=now(world.clock))
    )
    await world.accounts.recovery.forgot(ANN, HERE)
    world.stale.clear()
    world.mailbox.take()
    await world.accounts.own.delete(signed_in, HERE)
    assert world.mailbox.take() == [(ANN, "account_deleted")], "in case that it was somebody else"
    assert await world.account(ANN) is None
    assert await world.sessions.resume(entry.token) is None
    await refusal(world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE))
    counts = [await world.count(table) for table in (SessionRow, UserLinkRow, ApiKeyGrantRow, MembershipRow)]
    assert counts == [0, 0, 0, 1]
    async with world.database.read() as session:
        revoked = {row.kid for row in await session.scalars(select(ApiKeyRow)) if row.revoked_at is not None}
        suspended = {row.id for row in await session.scalars(select(TenantRow)) if row.suspended_at is not None}
    assert revoked == {"own000000001", "own000000002", "firm00000003"}
    assert suspended == {own}
    assert world.stale == {own, "firm"}
    events = await world.events()
    assert [event for event in events if event[0] == own][-3:] == [
        (own, "user.deleted", ANN),
        (own, "api_key.revoked", ANN),
        (own, "tenant.suspended", ANN),
    ]
    assert [event for event in events if event[0] == "firm"] == [
        ("firm", "member.left", ANN),
        ("firm", "api_key.revoked", ANN),
    ]


async def test_nobody_leaves_others_without_an_owner(world: World) -> None:
    """They would lose their tenant without a word: somebody else has to own it first."""
    signed_in = await world.member()
    bob = await world.add_user("bob", (signed_in.tenant_id or "", Role.ADMIN))
    text = await refusal(world.accounts.own.delete(signed_in, HERE), Code.CONFLICT)
    assert text.startswith("You are the only owner of ann, and others work in it.")
    assert await world.user(signed_in.user_id) is not None
    async with world.database.write() as session:
        membership = await session.get(MembershipRow, (signed_in.tenant_id, bob))
        assert membership is not None
        membership.role = Role.OWNER
        await session.commit()
    await world.accounts.own.delete(signed_in, HERE)
    assert await world.user(signed_in.user_id) is None


async def test_the_tenant_of_a_development_server_stays(database: Database) -> None:
    """Its keys go on, whoever tries out what deleting an account does; the next one owns it."""
    world = World(database, first_account_owns="test-tenant")
    await world.add_tenant("test-tenant")
    await world.accounts.own.delete(await world.member(), HERE)
    async with world.database.read() as session:
        tenant = await session.get(TenantRow, "test-tenant")
    assert tenant is not None
    assert tenant.suspended_at is None
    bob = await world.member("bob")
    assert (bob.tenant_id, bob.is_operator) == ("test-tenant", True)


async def test_a_development_server_is_not_left_without_anybody(database: Database) -> None:
    """With others on it, too: while nobody is in its tenant, whoever signs up gets it, and operates the server."""
    world = World(database, first_account_owns="test-tenant")
    await world.add_tenant("test-tenant")
    ann, bob = await world.member(), await world.member("bob")
    assert (ann.is_operator, bob.is_operator, bob.tenant_id != "test-tenant") == (True, False, True)
    assert (await world.accounts.own.parting(bob)).last_operator is False
    parting = await world.accounts.own.parting(ann)
    assert (parting.kept, parting.closed, parting.last_operator) == ([("test-tenant", "Test-Tenant")], [], True)
    await world.accounts.own.delete(ann, HERE)
    carol, dave = await world.member("carol"), await world.member("dave")
    assert (carol.tenant_id, carol.is_operator) == ("test-tenant", True)
    assert (dave.tenant_id != "test-tenant", dave.is_operator) == (True, False)


async def test_what_a_deletion_means_is_known_before(world: World) -> None:
    """Which tenants are closed, which are left, and what is in the way, by id and name."""
    ann = await world.member()
    own = ann.tenant_id or ""
    await world.add_tenant("firm")
    await world.add_user("bob", ("firm", Role.OWNER))
    joined = MembershipRow(tenant_id="firm", user_id=ann.user_id, role=Role.OWNER, created_at=now(world.clock))
    await world.add(joined)
    parting = await world.accounts.own.parting(ann)
    assert (parting.closed, parting.left, parting.kept, parting.forbids) == ([(own, "ann")], [("firm", "Firm")], [], [])
    await world.add_user("carol", (own, Role.ADMIN))
    parting = await world.accounts.own.parting(ann)
    assert (parting.closed, parting.forbids) == ([], [(own, "ann")])


@pytest.mark.parametrize("what", ["rename", "delete", "change_password"])
async def test_an_account_that_is_gone_changes_nothing(world: World, what: str) -> None:
    """Another tab deleted it a moment ago."""
    signed_in = await world.member()
    await world.accounts.own.delete(signed_in, HERE)
    own = world.accounts.own
    if what == "change_password":
        assert "is not the right one" in await refusal(own.change_password(signed_in, PASSWORD, OTHER_PASSWORD, HERE))
        return
    work = own.rename(signed_in, "x", HERE) if what == "rename" else own.delete(signed_in, HERE)
    await refusal(work, Code.NOT_FOUND)
    assert await world.count(UserRow) == 0


async def test_mails_to_new_addresses_are_limited(world: World) -> None:
    """ASVS 2.4.1: an account is no way to flood a mailbox."""
    signed_in = await world.member()
    world.pass_time(timedelta(hours=1))
    for _ in range(6):
        await world.accounts.own.ask_for_email(signed_in, NEW, HERE)
    await refusal(world.accounts.own.ask_for_email(signed_in, NEW, HERE), Code.TOO_MANY_FAILURES)
