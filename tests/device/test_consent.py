"""The person's side: a sign-in belongs to the session that entered its code, and gives no more than the person has."""

from __future__ import annotations

import pytest
from tests.device.conftest import BROWSER, House
from tests.support.installation import HOME, STRANGER, SUSPENDED

from aitbc.schemas.scopes import Environment, Preset
from aitbc_server.device.approval import presets_for
from aitbc_server.device.codes import new_user_code, read_user_code
from aitbc_server.device.consent import Request
from aitbc_server.device.model import GrantState
from aitbc_server.errors import Code, DomainError
from aitbc_server.users.events import Origin
from aitbc_server.users.roles import Role
from aitbc_server.users.sessions import SignedIn


async def code_of(work: object) -> Code:
    """The code of the error that ``work`` ends with."""
    with pytest.raises(DomainError) as caught:
        await work  # type: ignore[misc]
    return caught.value.code


async def entered(house: House, signed_in: SignedIn, **form: str) -> Request:
    """What the person sees after they entered the code of a fresh sign-in."""
    begun = await house.begin(**form)
    return await house.consents.show(signed_in, await house.consents.enter(signed_in, begun["user_code"], BROWSER))


async def test_the_person_sees_who_asks_for_what(house: House) -> None:
    """ASVS 10.7.2: the name, the address, what is asked for, and what they may give in each of their tenants."""
    ada = await house.person(**{HOME: Role.OWNER, STRANGER: Role.DEVELOPER, SUSPENDED: Role.OWNER})
    shown = await entered(house, ada, client_name="laptop", tenant_id=STRANGER, environment="test")
    assert (shown.client_name, shown.client_ip, shown.state) == ("laptop", "192.0.2.1", GrantState.PENDING)
    assert (shown.tenant_id, shown.environment, shown.preset) == (STRANGER, Environment.TEST, Preset.MANAGER)
    assert {choice.tenant_id: choice.presets for choice in shown.choices} == {
        HOME: (Preset.MANAGER, Preset.CLIENT, Preset.MINER),
        STRANGER: (Preset.MANAGER, Preset.CLIENT, Preset.MINER),
    }


async def test_a_tenant_that_is_not_theirs_is_not_suggested(house: House) -> None:
    """Nor told of."""
    ada = await house.person()
    shown = await entered(house, ada, tenant_id=STRANGER)
    assert shown.tenant_id == HOME
    assert [choice.tenant_id for choice in shown.choices] == [HOME]


@pytest.mark.parametrize(
    ("role", "wanted", "given"),
    [
        (Role.OWNER, Preset.MANAGER, [Preset.MANAGER, Preset.CLIENT, Preset.MINER]),
        (Role.ADMIN, Preset.CLIENT, [Preset.CLIENT]),
        (Role.ADMIN, Preset.MINER, [Preset.MINER]),
        (Role.DEVELOPER, Preset.MANAGER, [Preset.MANAGER, Preset.CLIENT, Preset.MINER]),
        (Role.VIEWER, Preset.MANAGER, []),
        (Role.VIEWER, Preset.CLIENT, []),
        (Role.OWNER, Preset.GATEWAY, []),
    ],
)
def test_what_a_role_may_give(role: Role, wanted: Preset, given: list[Preset]) -> None:
    """What was asked for or less, within what the role has (ASVS 8.2.1)."""
    assert presets_for(role, wanted) == given


@pytest.mark.parametrize(
    ("role", "wanted", "preset"),
    [
        (Role.DEVELOPER, "client", Preset.MANAGER),
        (Role.VIEWER, "manager", Preset.CLIENT),
        (Role.OWNER, "client", Preset.MANAGER),
        (Role.OWNER, "manager", Preset.GATEWAY),
    ],
)
async def test_no_more_can_be_approved(house: House, role: Role, wanted: str, preset: Preset) -> None:
    """ASVS 8.2.3, 8.3.1: the form is not what keeps them from it."""
    ada = await house.person(**{HOME: role})
    begun = await house.begin(preset=wanted)
    assert await code_of(house.approve(ada, begun, preset=preset)) is Code.VALIDATION_ERROR
    assert await house.polled(begun) == (400, "authorization_pending")


@pytest.mark.parametrize("tenant", [STRANGER, SUSPENDED, "nobody"])
async def test_no_other_tenant_can_be_chosen(house: House, tenant: str) -> None:
    """ASVS 8.4.1: one's own tenants only, and none that is suspended."""
    ada = await house.person(**{HOME: Role.OWNER, SUSPENDED: Role.OWNER})
    begun = await house.begin()
    assert await code_of(house.approve(ada, begun, tenant=tenant)) is Code.VALIDATION_ERROR


async def test_another_session_neither_sees_nor_decides(house: House) -> None:
    """ASVS 6.6.2: not another person, and not the same person in another browser."""
    ada, eve = await house.person(), await house.person("eve")
    begun = await house.begin()
    grant_id = await house.consents.enter(ada, begun["user_code"], BROWSER)
    for other in (eve, await house.session_of(ada.user_id)):
        assert await code_of(house.consents.show(other, grant_id)) is Code.NOT_FOUND
        assert await code_of(house.consents.deny(other, grant_id)) is Code.NOT_FOUND
        decided = house.consents.approve(
            other,
            grant_id,
            tenant_id=HOME,
            environment=Environment.LIVE,
            preset=Preset.CLIENT,
            origin=BROWSER,
        )
        assert await code_of(decided) is Code.NOT_FOUND
        assert await code_of(house.consents.enter(other, begun["user_code"], BROWSER)) is Code.VALIDATION_ERROR
    assert await house.polled(begun) == (400, "authorization_pending")


async def test_who_never_entered_the_code_cannot_approve(house: House) -> None:
    """Nobody's sign-in is nobody's to decide."""
    ada = await house.person()
    await house.begin()
    [grant] = await house.grants()
    assert await code_of(house.consents.show(ada, grant.id)) is Code.NOT_FOUND


async def test_a_decision_is_final(house: House) -> None:
    """Approved twice, or denied after it was approved: 409."""
    ada = await house.person()
    begun = await house.begin()
    grant_id = await house.approve(ada, begun)
    assert await code_of(house.consents.deny(ada, grant_id)) is Code.CONFLICT
    assert await code_of(house.consents.enter(ada, begun["user_code"], BROWSER)) is Code.VALIDATION_ERROR
    assert await house.polled(begun) == (200, None)


async def test_what_has_expired_cannot_be_decided(house: House) -> None:
    """ASVS 6.5.5: ten minutes, however long the page was open."""
    ada = await house.person()
    begun = await house.begin()
    grant_id = await house.consents.enter(ada, begun["user_code"], BROWSER)
    house.turn(600)
    assert await code_of(house.consents.deny(ada, grant_id)) is Code.CONFLICT
    assert (await house.consents.show(ada, grant_id)).expired
    assert await code_of(house.consents.enter(ada, begun["user_code"], BROWSER)) is Code.VALIDATION_ERROR


async def test_codes_cannot_be_guessed(house: House) -> None:
    """ASVS 6.6.3: five wrong ones in ten minutes, in whatever session; then the right one is refused too."""
    ada = await house.person()
    begun = await house.begin()
    for attempt in range(5):
        session = await house.session_of(ada.user_id) if attempt % 2 else ada
        assert await code_of(house.consents.enter(session, new_user_code(), BROWSER)) is Code.VALIDATION_ERROR
    assert await code_of(house.consents.enter(ada, begun["user_code"], BROWSER)) is Code.TOO_MANY_FAILURES
    eve = await house.person("eve")
    assert await house.consents.enter(eve, begun["user_code"], Origin(client_ip="192.0.2.10"))
    house.turn(601)
    assert await house.consents.enter(ada, (await house.begin())["user_code"], BROWSER)


async def test_one_address_cannot_guess_by_many_people(house: House) -> None:
    """ASVS 2.4.1: twenty wrong codes from one address."""
    for number in range(4):
        person = await house.person(f"p{number}")
        for _ in range(5):
            assert await code_of(house.consents.enter(person, new_user_code(), BROWSER)) is Code.VALIDATION_ERROR
    last = await house.person("last")
    begun = await house.begin()
    assert await code_of(house.consents.enter(last, begun["user_code"], BROWSER)) is Code.TOO_MANY_FAILURES
    assert await house.consents.enter(last, begun["user_code"], Origin(client_ip="2001:db8::1"))


async def test_a_code_that_is_passed_around_ends(house: House) -> None:
    """Five times it may be entered, the right way round or not."""
    ada = await house.person()
    begun = await house.begin()
    for _ in range(5):
        await house.consents.enter(ada, begun["user_code"], BROWSER)
    assert await code_of(house.consents.enter(ada, begun["user_code"], BROWSER)) is Code.VALIDATION_ERROR
    assert await house.polled(begun) == (400, "access_denied")


@pytest.mark.parametrize("text", ["WDJB-MJHT", "wdjbmjht", " wdjb mjht ", "WDJB\u00a0-\tMJHT", "wd-jb.mj_ht"])
def test_codes_are_read_kindly(text: str) -> None:
    """Case, spaces and hyphens do not matter."""
    assert read_user_code(text) == "WDJB-MJHT"


@pytest.mark.parametrize("text", ["", "WDJB", "WDJB-MJHTX", "AEIO-UAEI", "1234-5678", "WDJB-MJH\u0422", "x" * 10_000])
async def test_what_is_no_code_costs_no_try(house: House, text: str) -> None:
    """A slip of the finger says nothing of any code."""
    assert read_user_code(text) is None
    ada = await house.person()
    for _ in range(7):
        assert await code_of(house.consents.enter(ada, text, BROWSER)) is Code.VALIDATION_ERROR
    begun = await house.begin()
    assert await house.consents.enter(ada, begun["user_code"], BROWSER)


def test_codes_are_read_as_they_are_made() -> None:
    """Each is its own one spelling."""
    for _ in range(100):
        code = new_user_code()
        assert read_user_code(code) == code
