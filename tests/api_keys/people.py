"""Who speaks in these tests: keys of a tenant in both environments, and of a stranger."""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx2
from tests.usage.world import Key, World

from aitbc.schemas.scopes import PRESET_SCOPES, Preset, Scope

MANAGER = PRESET_SCOPES[Preset.MANAGER]
CLIENT = PRESET_SCOPES[Preset.CLIENT]


class People(NamedTuple):
    """Keys of acme, unless their names say otherwise; live, unless they say test."""

    manager: Key
    member: Key
    writer: Key
    test_manager: Key
    test_member: Key
    stranger: Key
    strangers_member: Key


async def add_people(world: World) -> People:
    """Put two tenants and their keys into the database."""
    await world.add_tenant("acme", "enterprise")
    await world.add_tenant("globex", "pro")
    return People(
        manager=await world.add_key("acme", scopes=MANAGER),
        member=await world.add_key("acme", scopes=CLIENT),
        writer=await world.add_key("acme", scopes=[Scope.API_KEYS_WRITE]),
        test_manager=await world.add_key("acme", "test", scopes=MANAGER),
        test_member=await world.add_key("acme", "test", scopes=CLIENT),
        stranger=await world.add_key("globex", scopes=MANAGER),
        strangers_member=await world.add_key("globex", scopes=CLIENT),
    )


class Speaker:
    """Makes requests with one key. ``json`` is the body; every other argument is httpx's own."""

    def __init__(self, client: httpx2.AsyncClient, key: Key, **headers: str) -> None:
        self.client = client
        self.key = key
        self._headers = {**key.headers, **headers}

    async def __call__(self, method: str, path: str, json: Any = None, **options: Any) -> httpx2.Response:
        """The answer."""
        headers = {**self._headers, **options.pop("headers", {})}
        return await self.client.request(
            method, path, headers=headers, **({} if json is None else {"json": json}), **options
        )

    async def make(self, **fields: Any) -> dict[str, Any]:
        """A new key, which must work."""
        answer = await self("POST", "/v1/api-keys", {"name": "made", **fields})
        assert answer.status_code == 201, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def works(self, text: str) -> int:
        """The status that another key's text gets for looking at itself."""
        return (await self.client.get("/v1/api-keys/self", headers={"X-API-Key": text})).status_code

    def acting_for(self, tenant_id: str) -> Speaker:
        """The same key, naming the tenant that it acts for."""
        return Speaker(self.client, self.key, **{"X-Tenant-ID": tenant_id})


def without_id(answer: httpx2.Response) -> dict[str, Any]:
    """An error's body without the one field that is meant to differ."""
    document: dict[str, Any] = answer.json()
    del document["request_id"]
    return document
