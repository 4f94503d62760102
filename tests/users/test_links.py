"""Links by themselves, on both databases: whoever uses one need not think of its end."""

from __future__ import annotations

import pytest
from tests.users.people import People

from aitbc_server.errors import DomainError
from aitbc_server.users.links import MOST_SIGN_UPS, Links, Purpose
from aitbc_server.users.model import UserLinkRow

EMAIL = "ann@example.com"


async def use(people: People, token: str, *purposes: Purpose, commit: bool = True) -> UserLinkRow:
    """Use a link, in a transaction of its own."""
    async with people.units.begin() as unit:
        link, _ = await Links(people.clock).use(unit.session, token, *purposes)
        if commit:
            await unit.commit()
        return link


async def make(people: People, user_id: str, purpose: Purpose) -> str:
    """A link's token."""
    async with people.units.begin() as unit:
        token = await Links(people.clock).make(unit.session, user_id, purpose, EMAIL)
        await unit.commit()
        return token


@pytest.mark.parametrize("purpose", Purpose)
async def test_a_link_is_gone_when_it_is_used(people: People, purpose: Purpose) -> None:
    """ASVS 6.5.1: once what it was used for is committed, and only then."""
    token = await make(people, await people.add_user("ann"), purpose)
    await use(people, token, purpose, commit=False)
    link = await use(people, token, *Purpose)
    assert (link.email, link.purpose) == (EMAIL, purpose)
    with pytest.raises(DomainError, match="does not work"):
        await use(people, token, purpose)
    assert await people.count(UserLinkRow) == 0


async def test_a_link_is_for_one_purpose(people: People) -> None:
    """A link that confirms an address sets no password."""
    token = await make(people, await people.add_user("ann"), Purpose.CHANGE_EMAIL)
    others = set(Purpose) - {Purpose.CHANGE_EMAIL}
    with pytest.raises(DomainError, match="does not work"):
        await use(people, token, *others)


async def test_only_so_many_links_wait(people: People) -> None:
    """The newest of each purpose; of sign-ups a few, each with its own password. One person's are not another's."""
    ann, bob = await people.add_user("ann"), await people.add_user("bob")
    bobs = await make(people, bob, Purpose.RESET_PASSWORD)
    for purpose, most in ((Purpose.RESET_PASSWORD, 1), (Purpose.VERIFY_EMAIL, MOST_SIGN_UPS)):
        before = await people.count(UserLinkRow)
        for _ in range(MOST_SIGN_UPS + 2):
            await make(people, ann, purpose)
        assert await people.count(UserLinkRow) - before == most
    assert (await use(people, bobs, Purpose.RESET_PASSWORD)).user_id == bob
