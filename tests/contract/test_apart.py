"""S5: what belongs to another tenant, or to the other environment, is not there, byte for byte."""

from __future__ import annotations

import httpx2
import pytest
from tests.contract.expectations import RULES
from tests.support.asking import Owner, owner_of
from tests.support.installation import HOME, STRANGER, Installation, identifiers
from tests.support.shape import without_id
from tests.usage.world import Key

from aitbc.schemas.scopes import Scope

WITH_ID = [(method, path) for method, path in RULES if list(identifiers(path))]
LISTS = ["/v1/api-keys", "/v1/jobs", "/v1/miners", "/v1/audit-log", "/v1/usage?group_by=key"]

# Ids that nobody has: of the right form, of another form, and what could mean something to a database.
STRANGE_IDS = ["key_" + "0" * 12, "job_" + "0" * 20, "0", "x" * 300, "' OR 1=1 --", "%25", "*", "key_%", "_" * 16]


@pytest.fixture
async def owner(installation: Installation, client: httpx2.AsyncClient) -> Owner:
    return await owner_of(installation, client)


@pytest.fixture(params=["another tenant", "the other environment"])
async def stranger(request: pytest.FixtureRequest, installation: Installation) -> Key:
    """A key with every scope, to whom the owner's objects are nobody's."""
    if request.param == "another tenant":
        return await installation.add_key(STRANGER, scopes=Scope)
    return await installation.add_key(HOME, "test", scopes=Scope)


@pytest.mark.parametrize(("method", "path"), WITH_ID, ids=lambda part: part)
async def test_another_tenants_object_is_a_random_id(
    method: str, path: str, owner: Owner, stranger: Key, client: httpx2.AsyncClient
) -> None:
    """S5, ASVS 8.2.2, 8.4.1, 1.2.4: 404 with the same bytes and headers, for every route with an id in its path."""
    real = owner.other_key.id if "{key_id}" in path else owner.job_id
    seen = set()
    for object_id in (real, *STRANGE_IDS):
        url = path.replace("{key_id}", object_id).replace("{job_id}", object_id)
        answer = await client.request(method, url, headers=dict(stranger.headers), json=RULES[method, path].body)
        status, body, headers = without_id(answer)
        seen.add((status, body, tuple(headers)))
    assert len(seen) == 1
    assert next(iter(seen))[0] == 404


async def test_a_stranger_changes_nothing(owner: Owner, stranger: Key, client: httpx2.AsyncClient) -> None:
    """ASVS 8.4.1: after a stranger tried everything, the owner's key and job are as they were."""
    paths = (f"/v1/api-keys/{owner.other_key.id}", f"/v1/jobs/{owner.job_id}")
    before = [(await client.get(path, headers=owner.headers)).content for path in paths]
    for ask in owner.asks():
        if list(identifiers(ask.path)):
            await client.request(ask.method, ask.url, headers=dict(stranger.headers), json=ask.json)
    assert [(await client.get(path, headers=owner.headers)).content for path in paths] == before


@pytest.mark.parametrize("path", LISTS)
async def test_no_list_tells_of_others(path: str, owner: Owner, stranger: Key, client: httpx2.AsyncClient) -> None:
    """ASVS 8.4.1, 15.3.1: no list and no total has anything of another tenant or environment in it."""
    await client.post("/v1/miners/register?miner_id=owners-miner", headers=owner.headers, json={})
    made = await client.post("/v1/api-keys", headers=owner.headers, json={"name": "owners-own"})
    assert made.status_code == 201
    theirs = (await client.get(path, headers=owner.headers)).text
    others = (await client.get(path, headers=dict(stranger.headers))).text
    names = [owner.key.id, owner.other_key.id, owner.job_id, made.json()["id"], "owners-miner", "owners-own"]
    assert any(name in theirs for name in names)
    assert not [name for name in names if name in others]


@pytest.mark.parametrize("path", ["/v1/api-keys", "/v1/jobs", "/v1/audit-log"])
async def test_a_cursor_opens_no_other_list(
    path: str, owner: Owner, installation: Installation, client: httpx2.AsyncClient
) -> None:
    """ASVS 8.4.1: a cursor of one tenant, given to another, is none."""
    stranger = await installation.add_key(STRANGER, scopes=Scope)
    for _ in range(2):
        await client.post("/v1/jobs", headers=owner.headers, json=RULES["POST", "/v1/jobs"].body)
        await client.post("/v1/api-keys", headers=owner.headers, json={"name": "one more"})
    cursor = (await client.get(f"{path}?limit=1", headers=owner.headers)).json()["next_cursor"]
    assert (await client.get(f"{path}?limit=1&cursor={cursor}", headers=owner.headers)).status_code == 200
    assert (await client.get(f"{path}?limit=1&cursor={cursor}", headers=dict(stranger.headers))).status_code == 400


async def test_a_gateway_finds_its_own_tenants_keys_only(
    installation: Installation, owner: Owner, stranger: Key, client: httpx2.AsyncClient
) -> None:
    """Design section 8, ASVS 8.3.3: another tenant's key, and one of the other environment, is NOT_FOUND, as no key."""
    gateway = await installation.add_key(HOME, scopes=[Scope.API_KEYS_VERIFY])

    async def verify(text: str) -> httpx2.Response:
        return await client.post("/v1/api-keys/verify", headers=dict(gateway.headers), json={"key": text})

    assert (await verify(owner.key.text)).json()["code"] == "VALID"
    assert without_id(await verify(stranger.text)) == without_id(await verify("aitbc_nothing"))
