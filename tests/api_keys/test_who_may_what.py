"""The table "Who may do what to a key" of design section 4, cell by cell, over HTTP on both databases."""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx2
import pytest
from tests.api_keys.people import CLIENT, MANAGER, People, Speaker, without_id
from tests.usage.world import Key, World

from aitbc.schemas.scopes import Scope

WRITE = {Scope.API_KEYS_WRITE}
READ = {Scope.API_KEYS_READ}


class Doing(NamedTuple):
    """One thing to do to a key, and the scope that it takes to do it to others."""

    method: str
    action: str
    body: Any
    scope: Scope


DOINGS = {
    "see": Doing("GET", "", None, Scope.API_KEYS_READ),
    "change": Doing("PATCH", "", {"name": "changed"}, Scope.API_KEYS_WRITE),
    "enable": Doing("PATCH", "", {"enabled": True}, Scope.API_KEYS_WRITE),
    "disable": Doing("PATCH", "", {"enabled": False}, Scope.API_KEYS_WRITE),
    "regenerate": Doing("POST", "/regenerate", {}, Scope.API_KEYS_WRITE),
    "revoke": Doing("POST", "/revoke", None, Scope.API_KEYS_WRITE),
}
TARGETS = ("itself", "narrow", "wide", "other environment", "other tenant", "nothing")
OUT_OF_SIGHT = {"other environment", "other tenant", "nothing"}

SELF_SERVICE = "see regenerate revoke"
ALL = "see change enable disable regenerate revoke"
# Who: its scopes, and what it may do to each target; nothing to the targets that are not named.
MAY: dict[str, tuple[frozenset[Scope] | set[Scope], dict[str, str]]] = {
    "manager": (MANAGER, {"itself": SELF_SERVICE, "narrow": ALL, "wide": "see disable revoke"}),
    "client": (CLIENT, {"itself": SELF_SERVICE}),
    "writer": (
        WRITE,
        {
            "itself": SELF_SERVICE,
            "narrow": "change enable disable regenerate revoke",
            "wide": "disable revoke",
        },
    ),
    "reader": (READ, {"itself": SELF_SERVICE, "narrow": "see", "wide": "see"}),
    "previous secret": (MANAGER, {"narrow": ALL, "wide": "see disable revoke"}),
    "granted": (MANAGER, {"itself": SELF_SERVICE, "narrow": ALL, "wide": "see disable revoke"}),
}


async def actor(world: World, client: httpx2.AsyncClient, who: str) -> Speaker:
    scopes, _ = MAY[who]
    if who == "granted":
        key = await world.add_key("globex", scopes=scopes, also=["acme"])
        return Speaker(client, key).acting_for("acme")
    key = await world.add_key("acme", scopes=scopes)
    speaker = Speaker(client, key)
    if who == "previous secret":
        await speaker("POST", f"/v1/api-keys/{key.id}/regenerate", {"grace_period_seconds": 60})
    return speaker


async def target(world: World, speaker: Speaker, which: str, *, enabled: bool) -> str:
    if which == "itself":
        return speaker.key.id
    if which == "nothing":
        return "key_" + "0" * 12
    key = await world.add_key(
        "globex" if which == "other tenant" else "acme",
        "test" if which == "other environment" else "live",
        # A manager has no api_keys:verify: a key that does is beyond what it may hand out.
        scopes=WRITE | ({Scope.API_KEYS_VERIFY} if which == "wide" else set()),
        enabled=enabled,
    )
    return key.id


def expected(who: str, which: str, what: str) -> int:
    scopes, table = MAY[who]
    if what in table.get(which, "").split():
        return 200
    return 404 if which in OUT_OF_SIGHT and DOINGS[what].scope in scopes else 403


@pytest.mark.parametrize("who", MAY)
async def test_the_table(world: World, client: httpx2.AsyncClient, people: People, who: str) -> None:
    """ASVS 8.2.2, 8.3.1: each cell with a fresh actor and a fresh key; what is refused changes nothing."""
    assert people
    for which in TARGETS:
        for what, doing in DOINGS.items():
            speaker = await actor(world, client, who)
            key_id = await target(world, speaker, which, enabled=what != "enable")
            answer = await speaker(doing.method, f"/v1/api-keys/{key_id}{doing.action}", doing.body)
            assert answer.status_code == expected(who, which, what), f"{who} {what} {which}: {answer.text}"
            if answer.status_code == 403:
                assert answer.json()["code"] == "insufficient_scope"


async def test_nobody_creates_more_than_they_are(manager: Speaker, member: Speaker, world: World) -> None:
    """A key's scopes are within its maker's; the refusal names the scope. Without api_keys:write: nothing."""
    refused = await manager("POST", "/v1/api-keys", {"name": "a", "preset": "gateway"})
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert "api_keys:verify" in refused.json()["detail"]
    assert (
        await manager("POST", "/v1/api-keys", {"name": "a", "scopes": ["jobs:read", "api_keys:verify"]})
    ).status_code == 403
    assert (await manager.make(preset="manager"))["preset"] == "manager"
    assert (await member("POST", "/v1/api-keys", {"name": "a"})).status_code == 403
    writer = Speaker(manager.client, await world.add_key("acme", scopes=WRITE))
    assert "jobs:read" in (await writer("POST", "/v1/api-keys", {"name": "a"})).json()["detail"]
    assert (await writer.make(scopes=["api_keys:write"]))["scopes"] == ["api_keys:write"]


async def test_nobody_widens_a_key_beyond_themselves(manager: Speaker) -> None:
    """PATCH: the new scopes are within the caller's too."""
    made = await manager.make()
    answer = await manager("PATCH", f"/v1/api-keys/{made['id']}", {"scopes": ["api_keys:verify"]})
    assert (answer.status_code, "api_keys:verify" in answer.json()["detail"]) == (403, True)


async def test_a_change_beside_disabling_takes_the_scopes(manager: Speaker, world: World) -> None:
    """Disabling any key is allowed, but not together with a change that is not."""
    wide = await world.add_key("acme", scopes={Scope.API_KEYS_VERIFY})
    both = await manager("PATCH", f"/v1/api-keys/{wide.id}", {"enabled": False, "name": "x"})
    assert both.status_code == 403
    assert both.json()["detail"] == (
        "An API key makes and manages only keys whose scopes are within its own, and the one in use does not have the "
        "scope api_keys:verify."
    )
    assert (await manager("PATCH", f"/v1/api-keys/{wide.id}", {"enabled": False})).status_code == 200


async def test_environments_are_apart(manager: Speaker, people: People) -> None:
    """Design 4: a test key makes test keys only, and neither asks for the other's environment."""
    tester = Speaker(manager.client, people.test_manager)
    made = await tester.make()
    assert (made["environment"], made["key"][:11]) == ("test", "aitbc_test_")
    for speaker, environment in ((tester, "live"), (manager, "test")):
        answer = await speaker("POST", "/v1/api-keys", {"name": "a", "environment": environment})
        assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert (await tester.make(environment="test"))["environment"] == "test"
    assert (await manager("GET", "/v1/api-keys", params={"environment": "test"})).json() == {
        "items": [],
        "next_cursor": None,
    }


async def test_each_sees_its_own_list(manager: Speaker, member: Speaker, stranger: Speaker, people: People) -> None:
    """A manager its tenant's keys of its environment, a client only itself, a stranger nothing of it."""

    async def ids(speaker: Speaker) -> set[str]:
        return {item["id"] for item in (await speaker("GET", "/v1/api-keys")).json()["items"]}

    tester = Speaker(manager.client, people.test_manager)
    assert await ids(manager) == {people.manager.id, people.member.id, people.writer.id}
    assert await ids(member) == {people.member.id}
    assert await ids(Speaker(manager.client, people.writer)) == {people.writer.id}
    assert await ids(tester) == {people.test_manager.id, people.test_member.id}
    assert await ids(stranger) == {people.stranger.id, people.strangers_member.id}
    assert (await member("GET", "/v1/api-keys", params={"status": "revoked"})).json()["items"] == []


async def test_what_is_not_yours_is_not_found_byte_for_byte(manager: Speaker, people: People) -> None:
    """S5: another tenant's key, another environment's, none at all, no id at all: the same bytes but the request id."""
    for doing in DOINGS.values():
        answers = [
            await manager(doing.method, f"/v1/api-keys/{key_id}{doing.action}", doing.body)
            for key_id in (
                people.stranger.id,
                people.test_manager.id,
                "key_000000000000",
                "key_",
                "nonsense",
                "key_" + "é" * 12,
                "key_%00%00%00%00%00%00%00%00%00%00%00%00",
                "x" * 3000,
            )
        ]
        assert {answer.status_code for answer in answers} == {404}
        first = without_id(answers[0])
        assert all(without_id(answer) == first for answer in answers)
        assert len({len(answer.content) for answer in answers}) == 1


async def granted_key(world: World, scopes: Any = MANAGER) -> Key:
    return await world.add_key("globex", scopes=scopes, also=["acme"])


async def test_a_granted_tenant_is_acted_for_by_the_header_alone(
    world: World, client: httpx2.AsyncClient, people: People
) -> None:
    """Design 5: X-Tenant-ID chooses whose keys are seen and made; own access still reaches the key itself."""
    key = await granted_key(world)
    here, there = Speaker(client, key), Speaker(client, key).acting_for("acme")
    assert people.manager.id in {item["id"] for item in (await there("GET", "/v1/api-keys")).json()["items"]}
    assert people.manager.id not in {item["id"] for item in (await here("GET", "/v1/api-keys")).json()["items"]}
    assert (await there.make())["tenant_id"] == "acme"
    assert (await here.make())["tenant_id"] == "globex"
    assert (await there("GET", f"/v1/api-keys/{key.id}")).json()["tenant_ids"] == ["acme"]
    assert (await there("GET", f"/v1/api-keys/{people.stranger.id}")).status_code == 404
    only_itself = Speaker(client, await granted_key(world, CLIENT)).acting_for("acme")
    assert [item["id"] for item in (await only_itself("GET", "/v1/api-keys")).json()["items"]] == [only_itself.key.id]


async def test_regenerating_gives_away_no_further_tenant(
    world: World, client: httpx2.AsyncClient, people: People
) -> None:
    """Who regenerates a key has its secret: a key that acts for more tenants than the caller is the operator's."""
    key = await granted_key(world, CLIENT)
    stranger = Speaker(client, people.stranger)
    refused = await stranger("POST", f"/v1/api-keys/{key.id}/regenerate", {})
    assert (refused.status_code, "acme" in refused.json()["detail"]) == (403, True)
    also_granted = Speaker(client, await granted_key(world))
    assert (await also_granted("POST", f"/v1/api-keys/{key.id}/regenerate", {})).status_code == 200
    assert (await stranger("POST", f"/v1/api-keys/{key.id}/revoke")).status_code == 200


async def test_a_key_of_further_tenants_is_changed_only_by_who_acts_for_them_too(
    world: World, client: httpx2.AsyncClient, people: People
) -> None:
    """ASVS 8.3.3, 8.4.1: a manager of one tenant cannot give a key more power over another. It can disable the key."""
    key = await granted_key(world, CLIENT)
    stranger = Speaker(client, people.stranger)
    path = f"/v1/api-keys/{key.id}"
    for change in ({"scopes": ["api_keys:write"]}, {"expires_at": None}, {"name": "mine"}):
        assert (await stranger("PATCH", path, change)).status_code == 403
    also_granted = Speaker(client, await granted_key(world))
    assert (await also_granted("PATCH", path, {"scopes": ["api_keys:write"]})).status_code == 200
    assert (await stranger("PATCH", path, {"enabled": False})).status_code == 200


async def test_regenerating_gives_away_no_key_that_checks_everybodys(
    world: World, client: httpx2.AsyncClient, people: People
) -> None:
    """Design 8: only an operator makes a key that verifies all; nobody gets one by regenerating it."""
    assert people
    caller = Speaker(client, await world.add_key("acme", scopes=set(Scope)))
    gateway = await world.add_key("acme", scopes={Scope.API_KEYS_VERIFY}, verifies_all=True)
    plain = await world.add_key("acme", scopes={Scope.API_KEYS_VERIFY})
    assert (await caller("POST", f"/v1/api-keys/{gateway.id}/regenerate", {})).status_code == 403
    assert (await caller("POST", f"/v1/api-keys/{plain.id}/regenerate", {})).status_code == 200
    itself = Speaker(client, gateway)
    assert (await itself("POST", f"/v1/api-keys/{gateway.id}/regenerate", {})).status_code == 200
