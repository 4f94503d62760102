"""What operators do to accounts, on both databases."""

from __future__ import annotations

import pytest
from tests.users.world import HERE, PASSWORD, SITE, World, refusal

from aitbc_server.actor import operator
from aitbc_server.errors import Code
from aitbc_server.tenants.service import OPERATOR_TENANT
from aitbc_server.users.recovery import Offer

ANN = "ann@example.com"
ACTOR = operator("create-user", OPERATOR_TENANT)


def token_of(link: str) -> str:
    """The token in a printed link."""
    page, _, token = link.partition("?token=")
    assert page == f"{SITE}/reset-password"
    return token


@pytest.mark.parametrize("is_operator", [False, True])
async def test_an_account_is_made_with_a_link_for_its_owner(world: World, is_operator: bool) -> None:
    """ASVS 6.4.1, 6.3.2: no password until the owner chooses one, by a random link that works once, for a day."""
    made = await world.accounts.administration.create(ACTOR, " Ann@example.com", is_operator=is_operator)
    assert (made.email, made.is_operator, made.status) == (ANN, is_operator, "invited")
    await refusal(world.accounts.sign_ins.sign_in(ANN, "", HERE))
    recovery, token = world.accounts.recovery, token_of(made.link)
    assert await recovery.offer(token) == Offer(ANN, is_new=True)
    signed_in = await world.signed_in((await recovery.set_password(token, PASSWORD, HERE)).token)
    assert signed_in.is_operator is is_operator
    assert (signed_in.tenant_id or "").startswith("ann-")
    await refusal(recovery.set_password(token, PASSWORD, HERE), Code.NOT_FOUND)
    assert world.mailbox.take() == []
    assert [event for event in await world.events() if event[1] == "user.invited"] == [
        (OPERATOR_TENANT, "user.invited", "aitbc admin create-user")
    ]


async def test_a_link_that_was_lost_is_replaced(world: World) -> None:
    """The older one stops working. Nobody chooses a password for an account that is in use (ASVS 6.4.6)."""
    administration = world.accounts.administration
    first = await administration.create(ACTOR, ANN)
    second = await administration.create(ACTOR, ANN, is_operator=True)
    assert first.id == second.id
    await refusal(world.accounts.recovery.offer(token_of(first.link)), Code.NOT_FOUND)
    await world.accounts.recovery.set_password(token_of(second.link), PASSWORD, HERE)
    text = await refusal(administration.create(ACTOR, ANN), Code.CONFLICT)
    assert text == f"There is an account with the address {ANN} already."
    assert (await refusal(administration.create(ACTOR, "ann"))).startswith("email: must look like")


async def test_a_disabled_account_is_out_at_once(world: World) -> None:
    """ASVS 7.4.2: its sessions end; enabled again, it signs in anew."""
    entry = await world.enter()
    signed_in = await world.signed_in(entry.token)
    administration = world.accounts.administration
    assert [(await administration.disable(ACTOR, ANN)).status for _ in range(2)] == ["disabled"] * 2
    assert await world.sessions.resume(entry.token) is None
    await refusal(world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE))
    assert [(await administration.enable(ACTOR, ANN)).status for _ in range(2)] == ["active"] * 2
    await world.accounts.sign_ins.sign_in(ANN, PASSWORD, HERE)
    assert (await world.events())[-2:] == [
        (signed_in.tenant_id, "user.disabled", "aitbc admin create-user"),
        (signed_in.tenant_id, "user.enabled", "aitbc admin create-user"),
    ]


async def test_operators_sign_people_out(world: World) -> None:
    """ASVS 7.4.5."""
    entry = await world.enter()
    assert await world.accounts.administration.end_sessions(ACTOR, ANN) == 1
    assert await world.sessions.resume(entry.token) is None


async def test_an_account_that_is_not_there(world: World) -> None:
    """It is named."""
    administration = world.accounts.administration
    for work in (administration.disable, administration.enable, administration.end_sessions):
        text = await refusal(work(ACTOR, ANN), Code.NOT_FOUND)
        assert text == f"There is no account with the address {ANN}."
