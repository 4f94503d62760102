"""GET /v1/audit-log: who sees which changes, filtered and page by page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.usage.world import Clock, Key, World

from aitbc.schemas.scopes import Environment, Scope
from aitbc_server.actor import Actor, operator
from aitbc_server.audit.service import AuditLog
from aitbc_server.clock import US_PER_S
from aitbc_server.db.engine import Database

READ = {Scope.AUDIT_READ}


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    """An installation with two tenants."""
    world = World(database, tmp_path, Clock())
    await world.add_tenant("acme")
    await world.add_tenant("rival")
    return world


async def record(world: World, actor: Actor, action: str, target: tuple[str, str], **fields: Any) -> None:
    """One event, a second after the one before."""
    world.clock.now_us += US_PER_S
    async with world.database.write() as session:
        await AuditLog(world.secret_keys, world.clock).record(session, actor, action, target, **fields)
        await session.commit()


async def events(client: httpx2.AsyncClient, key: Key, **query: Any) -> list[Any]:
    """The items of the first page."""
    answer = await client.get("/v1/audit-log", headers=key.headers, params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def test_an_event_is_shown_whole(world: World) -> None:
    """The object of the contract, field by field."""
    key = await world.add_key("acme", scopes=READ)
    actor = Actor(
        type="api_key",
        id=key.id,
        name="deploy",
        tenant_id="acme",
        scopes=frozenset(),
        environment=Environment.LIVE,
        client_ip="192.0.2.1",
        request_id="req_1",
    )
    await record(world, actor, "api_key.updated", ("api_key", key.id), before={"name": "a"}, after={"name": "b"})
    async with world.server() as client:
        (event,) = await events(client, key)
    assert event.pop("id").startswith("evt_")
    assert event == {
        "time": "2026-11-24T05:46:31.000Z",
        "actor": {"type": "api_key", "id": key.id, "name": "deploy"},
        "action": "api_key.updated",
        "target": {"type": "api_key", "id": key.id},
        "client_ip": "192.0.2.1",
        "request_id": "req_1",
        "before": {"name": "a"},
        "after": {"name": "b"},
    }


async def test_pages_are_stable_while_events_come_in(world: World) -> None:
    """Newest first, each once, also when new ones arrive between the pages."""
    key = await world.add_key("acme", scopes=READ)
    for number in range(7):
        await record(world, operator("test", "acme"), "tenant.updated", ("tenant", str(number)))
    seen: list[str] = []
    async with world.server() as client:
        cursor: str | None = None
        while True:
            query = {"limit": 3} | ({} if cursor is None else {"cursor": cursor})
            page = (await client.get("/v1/audit-log", headers=key.headers, params=query)).json()
            seen += [event["target"]["id"] for event in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
            await record(world, operator("test", "acme"), "tenant.updated", ("tenant", "new"))
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]


async def test_a_key_sees_its_tenant_and_its_environment(world: World) -> None:
    """And what concerns the whole tenant; never another tenant's, and nothing without audit:read."""
    live, test = await world.add_key("acme", scopes=READ), await world.add_key("acme", "test", scopes=READ)
    none = await world.add_key("acme", scopes=set(Scope) - READ)
    someone = operator("test", "acme")
    await record(world, someone, "tenant.plan_set", ("tenant", "acme"))
    await record(world, someone, "api_key.created", ("api_key", "key_live"), after={"environment": "live"})
    await record(world, someone, "api_key.updated", ("api_key", "key_test"), environment="test")
    # Whoever forgets to say the environment hides the event from keys, rather than show it to the wrong ones.
    await record(world, someone, "api_key.updated", ("api_key", "key_forgotten"))
    await record(world, operator("test", "rival"), "tenant.plan_set", ("tenant", "rival"))
    async with world.server() as client:
        assert [event["target"]["id"] for event in await events(client, live)] == ["key_live", "acme"]
        assert [event["target"]["id"] for event in await events(client, test)] == ["key_test", "acme"]
        refused = await client.get("/v1/audit-log", headers=none.headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")


async def test_filters_narrow_it_down(world: World) -> None:
    """By action, actor, key and time; together too."""
    key = await world.add_key("acme", scopes=READ)
    actor = Actor(type="user", id="usr_1", name="Ada", tenant_id="acme", scopes=frozenset())
    await record(world, actor, "api_key.created", ("api_key", "key_a"), environment="live")
    await record(world, operator("test", "acme"), "api_key.created", ("api_key", "key_b"), environment="live")
    await record(world, actor, "api_key.revoked", ("api_key", "key_a"), environment="live")
    await record(world, actor, "tenant.updated", ("tenant", "key_a"))

    async def found(**query: str) -> list[str]:
        return [f"{event['action']} {event['target']['id']}" for event in await events(client, key, **query)]

    async with world.server() as client:
        assert await found(action="api_key.created") == ["api_key.created key_b", "api_key.created key_a"]
        assert len(await found(actor="usr_1")) == 3
        assert await found(key_id="key_a") == ["api_key.revoked key_a", "api_key.created key_a"]
        assert await found(key_id="key_a", action="api_key.created", actor="usr_1") == ["api_key.created key_a"]
        times = {"from": "2026-11-24T05:46:32Z", "to": "2026-11-24T05:46:33Z"}
        assert await found(**times) == ["api_key.created key_b"]
        assert await found(action="no.such") == []


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({"from": "today"}, 422, "from: expected RFC 3339"),
        ({"to": "2026-11-24T05:46:32"}, 422, "to: expected RFC 3339"),
        ({"from": "2026-11-24T05:46:32Z", "to": "2026-11-24T05:46:32Z"}, 422, "from: expected a time before `to`"),
        ({"limit": "0"}, 422, "limit"),
        ({"limit": "101"}, 422, "limit"),
        ({"action": "a\x00b"}, 422, "action"),
        ({"actor": "é"}, 422, "actor"),
        ({"key_id": "x" * 65}, 422, "key_id"),
        ({"cursor": "altered"}, 400, "cursor"),
    ],
)
async def test_a_bad_question_is_told_what_is_wrong(
    world: World, query: dict[str, str], status: int, message: str
) -> None:
    """The field and what was expected, on both databases."""
    key = await world.add_key("acme", scopes=READ)
    async with world.server() as client:
        answer = await client.get("/v1/audit-log", headers=key.headers, params=query)
    assert answer.status_code == status, answer.text
    assert message in answer.json()["detail"]


async def test_a_cursor_of_another_tenant_is_none(world: World) -> None:
    """It is bound to the list that it came from."""
    keys = {tenant: await world.add_key(tenant, scopes=READ) for tenant in ("acme", "rival")}
    for _ in range(2):
        await record(world, operator("test", "acme"), "tenant.updated", ("tenant", "acme"))
    async with world.server() as client:
        page = (await client.get("/v1/audit-log", headers=keys["acme"].headers, params={"limit": 1})).json()
        query = {"cursor": page["next_cursor"]}
        assert (await client.get("/v1/audit-log", headers=keys["rival"].headers, params=query)).status_code == 400
        assert (await client.get("/v1/audit-log", headers=keys["acme"].headers, params=query)).status_code == 200
