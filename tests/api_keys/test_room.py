"""How many keys a tenant may have (ASVS 2.4.1), on both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest
from tests.api_keys.people import People, Speaker
from tests.usage.world import World

from aitbc.schemas.api_keys import CreateApiKey
from aitbc_server.actor import operator
from aitbc_server.api_keys.service import ApiKeyService
from aitbc_server.clock import US_PER_S

#: acme has five keys to begin with.
MOST = 7
FULL = (
    "There are 7 API keys already, which is as many as a tenant may have. Revoke keys that nobody uses, or ask who "
    "runs this installation for more."
)


@pytest.fixture(autouse=True)
def _little_room(world: World) -> None:
    world.settings = msgspec.structs.replace(world.settings, max_keys_per_tenant=MOST)


async def test_there_is_room_for_so_many_and_no_more(manager: Speaker, stranger: Speaker, people: People) -> None:
    """409 with what to do; a key that is revoked makes room, and another tenant has its own."""
    made = [await manager.make() for _ in range(MOST - 5)]
    refused = await manager("POST", "/v1/api-keys", {"name": "one more"})
    assert (refused.status_code, refused.json()["code"], refused.json()["detail"]) == (409, "conflict", FULL)
    assert "one more" not in [key["name"] for key in (await manager("GET", "/v1/api-keys")).json()["items"]]
    await stranger.make()
    await manager("POST", f"/v1/api-keys/{made[0]['id']}/revoke")
    await manager.make()
    # A key in the other environment is one of the tenant's as well.
    other = Speaker(manager.client, people.test_manager)
    assert (await other("POST", "/v1/api-keys", {"name": "test"})).status_code == 409


async def test_keys_that_are_made_at_once_are_counted(manager: Speaker) -> None:
    """ASVS 15.4.2: five ask for the last two places."""
    answers = await asyncio.gather(*(manager("POST", "/v1/api-keys", {"name": "a"}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409]


async def test_an_expired_key_takes_no_room_until_it_is_valid_again(manager: Speaker, world: World) -> None:
    """Nobody gets around the bound by giving keys that are over another end."""
    soon = (world.clock.timestamp() + timedelta(minutes=1)).isoformat()
    old = [await manager.make(expires_at=soon) for _ in range(MOST - 5)]
    world.clock.now_us += 120 * US_PER_S
    for _ in range(MOST - 5):
        await manager.make()
    refused = await manager("PATCH", f"/v1/api-keys/{old[0]['id']}", {"expires_at": None})
    assert (refused.status_code, refused.json()["detail"]) == (409, FULL)
    renamed = await manager("PATCH", f"/v1/api-keys/{old[0]['id']}", {"name": "b"})
    assert (renamed.status_code, renamed.json()["status"]) == (200, "expired")


async def test_operators_are_not_held_up(service: ApiKeyService, manager: Speaker) -> None:
    """Their keys count all the same: an import of what a tenant had elsewhere is not cut off."""
    for _ in range(MOST):
        await service.create(operator("test", "acme"), CreateApiKey(name="imported"))
    assert (await manager("POST", "/v1/api-keys", {"name": "a"})).status_code == 409
