"""What a key from `aitbc login` does with keys: what the role of the person allows whom it stands for, and no more.

Design section 4: owners and admins all, developers their own keys. (ASVS 8.2.2, 8.3.1, 8.3.2)
"""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from tests.device.conftest import House
from tests.support.installation import HOME

from aitbc.schemas.scopes import PRESET_SCOPES, Preset, Scope
from aitbc_server.users.model import MembershipRow
from aitbc_server.users.roles import ROLE_SCOPES, Role


class CommandLine:
    """Somebody who has signed in on a command line, as a manager."""

    def __init__(self, house: House, key: str, user_id: str) -> None:
        self._client = house.client
        self._headers = {"X-API-Key": key}
        self.user_id = user_id

    async def __call__(self, method: str, path: str, json: Any = None) -> httpx2.Response:
        """The answer."""
        return await self._client.request(method, f"/v1/api-keys{path}", json=json, headers=self._headers)

    async def make(self, **fields: Any) -> Any:
        """A new key, which must be made."""
        answer = await self("POST", "", {"name": "made", **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()


async def signed_in(house: House, name: str, role: Role) -> CommandLine:
    """A person in this role, and their command line."""
    person = await house.person(name, **{HOME: role})
    begun = await house.begin()
    await house.approve(person, begun)
    token = (await house.poll(begun)).json()
    return CommandLine(house, token["access_token"], person.user_id)


@pytest.mark.parametrize("role", [Role.OWNER, Role.DEVELOPER])
async def test_a_login_gets_what_the_role_has(house: House, role: Role) -> None:
    """A whole manager is one by name; less is a list of scopes."""
    ada = await signed_in(house, "ada", role)
    own = (await ada("GET", "/self")).json()["key"]
    assert set(own["scopes"]) == PRESET_SCOPES[Preset.MANAGER] & ROLE_SCOPES[role]
    assert own["preset"] == (Preset.MANAGER if role is Role.OWNER else None)


async def test_a_role_that_shrank_before_the_key_was_collected(house: House) -> None:
    """ASVS 8.3.2: the key has what the person may do now, not what they might have given when they approved."""
    begun = await house.begin()
    await house.approve(await house.person(), begun)
    await house.change(MembershipRow, role=Role.DEVELOPER)
    made = (await house.poll(begun)).json()["api_key"]
    assert Scope.MEMBERS_WRITE not in made["scopes"]


async def test_a_developer_manages_their_own_keys(house: House) -> None:
    """Those that they made, here or on the dashboard, which belong to them by name; and no other key of the tenant."""
    dev, boss = await signed_in(house, "dev", Role.DEVELOPER), await signed_in(house, "boss", Role.OWNER)
    mine, theirs = await dev.make(), await boss.make()
    assert (mine["created_by"], theirs["created_by"]) == (dev.user_id, boss.user_id)
    for path, body in (("/regenerate", {}), ("/revoke", None)):
        assert (await dev("POST", f"/{mine['id']}{path}", body)).status_code == 200
        refused = await dev("POST", f"/{theirs['id']}{path}", body)
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
        assert "you manage the API keys that you created" in refused.json()["detail"]
    assert (await dev("PATCH", f"/{theirs['id']}", {"enabled": False})).status_code == 403
    assert (await boss("POST", f"/{theirs['id']}/revoke")).status_code == 200


async def test_a_developer_hands_no_key_the_power_over_keys(house: House) -> None:
    """Such a key would manage everybody's. Their own, which has it for them, they may regenerate."""
    dev = await signed_in(house, "dev", Role.DEVELOPER)
    refused = await dev("POST", "", {"name": "a", "scopes": [Scope.API_KEYS_WRITE]})
    assert (refused.status_code, "Your role here is developer" in refused.json()["detail"]) == (403, True)
    assert (await dev("POST", "", {"name": "a", "preset": "manager"})).status_code == 403
    own = (await dev("GET", "/self")).json()["key"]["id"]
    assert (await dev("POST", f"/{own}/regenerate", {})).status_code == 200


async def test_a_role_that_ends_ends_for_the_key_too(house: House) -> None:
    """From the next change on: an owner who becomes a viewer, or leaves, changes nothing by an old login."""
    ada = await signed_in(house, "ada", Role.OWNER)
    made = await ada.make()
    await house.change(MembershipRow, role=Role.DEVELOPER)
    await ada.make()
    await house.change(MembershipRow, role=Role.VIEWER)
    for work in (ada("POST", "", {"name": "a"}), ada("POST", f"/{made['id']}/revoke")):
        assert (await work).status_code == 403
    await house.empty(MembershipRow)
    assert (await ada("POST", "", {"name": "a"})).status_code == 403
    own = (await ada("GET", "/self")).json()["key"]["id"]
    assert (await ada("POST", f"/{own}/revoke")).status_code == 200
