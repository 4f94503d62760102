"""GET /v1/usage and /v1/api-keys/{key_id}/usage: what they answer, to whom, and what they refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from tests.usage.world import MINUTE_US, Key, World

from aitbc.schemas.scopes import Scope

STRANGERS_SCOPES = frozenset({Scope.JOBS_READ})


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    """A running server with two tenants."""
    await world.add_tenant("acme")
    await world.add_tenant("rival")
    async with world.server() as client:
        yield client


async def ask(client: httpx2.AsyncClient, key: Key, path: str = "/v1/usage", **query: str) -> Any:
    """The answer's JSON; the question itself is counted, after the answer was made or before: by then it is in."""
    answer = await client.get(path, headers=key.headers, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_answer_has_the_range_the_series_and_the_totals(world: World, client: httpx2.AsyncClient) -> None:
    """The last 24 h by hours in one series; every decision up to this one is in it, the refused ones too."""
    key = await world.add_key("acme", scopes={Scope.USAGE_READ})
    assert (await client.get("/v1/api-keys", headers=key.headers)).status_code == 200
    assert (await client.post("/v1/api-keys", headers=key.headers)).status_code == 403
    assert await ask(client, key) == {
        "from": "2026-11-23T05:46:00.000Z",
        "to": "2026-11-24T05:47:00.000Z",
        "granularity": "hour",
        "series": [{"points": [["2026-11-24T05:00:00.000Z", 3]]}],
        "totals": {"total": 3, "allowed": 2, "refused": 1, "outcomes": {"allowed": 2, "insufficient_scope": 1}},
    }


async def test_a_server_without_traffic_has_an_empty_series(world: World, client: httpx2.AsyncClient) -> None:
    """No points where nothing happened; a range that ends before this minute does not hold the question itself."""
    key = await world.add_key("acme")
    answer = await ask(client, key, to="2026-11-24T05:46:00Z")
    assert (answer["series"], answer["totals"]["total"], answer["totals"]["outcomes"]) == ([{"points": []}], 0, {})
    assert (await ask(client, key, to="2026-11-24T05:46:00Z", group_by="key"))["series"] == []


@pytest.mark.parametrize("stored", [False, True])
async def test_points_are_told_apart_by_interval_and_group(world: World, stored: bool) -> None:
    """Minutes, hours, days, by key, outcome and operation: the same from memory and from the database."""
    await world.add_tenant("acme")
    key, other = await world.add_key("acme"), await world.add_key("acme")
    world.clock.now_us -= 2 * 24 * 60 * MINUTE_US
    async with world.server() as client:
        for minutes in (0, 0, 1, 60, 24 * 60):
            world.clock.now_us += minutes * MINUTE_US
            await client.get("/v1/api-keys", headers=key.headers)
        await client.get("/v1/nothing", headers=other.headers)
        if not stored:
            await check_points(client, world, key, other)
    if stored:
        async with world.server() as client:
            await check_points(client, world, key, other)


async def check_points(client: httpx2.AsyncClient, world: World, key: Key, other: Key) -> None:
    """Two at 05:46, one at 05:47, one at 06:47, and on the next day two at 06:47, one of them by the other key."""
    asker = await world.add_key("acme", "test")
    assert (await ask(client, asker, **{"from": "2026-11-22T00:00:00Z"}))["totals"]["total"] == 1
    query = {"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T06:47:30Z"}
    live = await world.add_key("acme")
    minutes = await ask(client, live, granularity="hour", **query)
    # The question is in the range: it was asked at 06:47 on the second day.
    assert minutes["series"][0]["points"] == [
        ["2026-11-22T05:00:00.000Z", 3],
        ["2026-11-22T06:00:00.000Z", 1],
        ["2026-11-23T06:00:00.000Z", 3],
    ]
    assert (await ask(client, live, granularity="day", **query))["series"][0]["points"] == [
        ["2026-11-22T00:00:00.000Z", 4],
        ["2026-11-23T00:00:00.000Z", 4],
    ]
    query["to"] = "2026-11-23T06:47:00Z"
    query["from"] = "2026-11-22T05:46:59.999Z"
    minutes = await ask(client, live, granularity="minute", **(query | {"from": "2026-11-22T06:00:00Z"}))
    assert minutes["series"][0]["points"] == [["2026-11-22T06:47:00.000Z", 1]]
    assert (await ask(client, live, granularity="day", **query))["totals"]["total"] == 4
    query["to"] = "2026-11-23T06:48:00Z"
    series = (await ask(client, live, granularity="day", group_by="key", **query))["series"]
    assert [(each["key_id"], sum(count for _, count in each["points"])) for each in series] == [
        *sorted([(live.id, 5), (key.id, 5)]),
        (other.id, 1),
    ]
    series = (await ask(client, live, granularity="day", group_by="operation", **query))["series"]
    assert [(each["operation"], sum(count for _, count in each["points"])) for each in series] == [
        ("usage.get", 6),
        ("api_keys.list", 5),
        ("unmatched", 1),
    ]
    series = (await ask(client, live, granularity="day", group_by="outcome", **query))["series"]
    assert [(each["outcome"], sum(count for _, count in each["points"])) for each in series] == [("allowed", 13)]


async def test_a_key_sees_itself_and_no_more_without_the_scope(world: World, client: httpx2.AsyncClient) -> None:
    """usage:read shows the tenant's keys of the environment; without it a key sees its own counts alone."""
    reader = await world.add_key("acme", scopes={Scope.USAGE_READ})
    plain = await world.add_key("acme", scopes=STRANGERS_SCOPES)
    test = await world.add_key("acme", "test")
    rival = await world.add_key("rival")
    for key in (reader, plain, test, rival):
        await client.get("/v1/nothing", headers=key.headers)
    seen = await ask(client, reader, group_by="key")
    assert {each["key_id"] for each in seen["series"]} == {reader.id, plain.id}
    seen = await ask(client, plain, group_by="key")
    assert [(each["key_id"], each["points"][0][1]) for each in seen["series"]] == [(plain.id, 2)]
    assert (await ask(client, plain, f"/v1/api-keys/{plain.id}/usage"))["totals"]["total"] == 3
    assert (await ask(client, reader, f"/v1/api-keys/{plain.id}/usage"))["totals"]["total"] == 3
    refused = await client.get(f"/v1/api-keys/{reader.id}/usage", headers=plain.headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")


async def test_what_is_not_ones_own_is_not_found(world: World, client: httpx2.AsyncClient) -> None:
    """Another tenant's key, a key of the other environment, a random id and nonsense: the same bytes."""
    reader = await world.add_key("acme", scopes={Scope.USAGE_READ})
    test, rival = await world.add_key("acme", "test"), await world.add_key("rival")
    bodies = set()
    for unseen in (test.id, rival.id, "key_000000000000", "key_", "nonsense", "key_%00", "key_%F0%9F%98%80"):
        answer = await client.get(f"/v1/api-keys/{unseen}/usage", headers=reader.headers)
        assert answer.status_code == 404, unseen
        body = answer.json()
        bodies.add(str(body | {"request_id": body.pop("request_id") and ""}))
    assert len(bodies) == 1


async def test_a_granted_key_is_seen_by_both_tenants(world: World, client: httpx2.AsyncClient) -> None:
    """Usage belongs to the tenant that a request acts for; a key that was granted it shows there what it did there."""
    partner = await world.add_key("rival", also=["acme"])
    owner = await world.add_key("acme")
    await client.get("/v1/nothing", headers=partner.headers)
    for _ in range(2):
        await client.get("/v1/nothing", headers={**partner.headers, "X-Tenant-ID": "acme"})
    path = f"/v1/api-keys/{partner.id}/usage"
    assert (await ask(client, owner, path))["totals"]["total"] == 2
    seen = await client.get(path, headers={**partner.headers, "X-Tenant-ID": "acme"})
    assert seen.json()["totals"]["total"] == 3
    assert (await ask(client, partner, path))["totals"]["total"] == 2


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ({"from": "yesterday"}, "from", "expected RFC 3339 with a time zone, such as 2026-11-24T05:46:56Z"),
        ({"from": "2026-11-24T00:00:00"}, "from", "expected RFC 3339 with a time zone"),
        ({"from": ""}, "from", "expected RFC 3339"),
        ({"to": "2026-11-24"}, "to", "expected RFC 3339"),
        ({"to": "0001-01-01T00:00:00+23:59"}, "to", "expected a time from the year 1970 to the year 9998"),
        ({"to": "9999-12-31T23:59:59Z"}, "to", "expected a time from the year 1970"),
        ({"to": "1970-01-01T00:00:00Z"}, "from", "expected a time before the end of the range"),
        ({"from": "2026-11-24T05:00:00Z", "to": "2026-11-24T05:00:00Z"}, "from", "expected a time before the end"),
        ({"from": "2030-01-01T00:00:00Z"}, "from", "the end of the range, which is 2026-11-24T05:46:30.000Z"),
        ({"from": "2026-11-01T00:00:00Z", "granularity": "minute"}, "from", "more than 1500 intervals"),
        ({"from": "2026-11-01T00:00:00Z", "granularity": "minute"}, "from", "about 1 day long"),
        ({"from": "2026-01-01T00:00:00Z"}, "from", "about 62 days long"),
        ({"from": "2000-01-01T00:00:00Z", "granularity": "day"}, "from", "about 1,500 days long"),
        ({"granularity": "week"}, "granularity", ""),
        ({"group_by": "tenant"}, "group_by", ""),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_bad_question_is_told_what_is_wrong(
    world: World, client: httpx2.AsyncClient, query: dict[str, str], field: str, message: str
) -> None:
    """422, the field, and what was expected."""
    key = await world.add_key("acme")
    for path in ("/v1/usage", f"/v1/api-keys/{key.id}/usage"):
        answer = await client.get(path, headers=key.headers, params=query)
        assert answer.status_code == 422, answer.text
        (error,) = answer.json()["errors"]
        assert error["field"] == field
        assert message in error["message"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_times_with_other_zones_are_understood(world: World, client: httpx2.AsyncClient) -> None:
    """An offset counts; a plus sign that came as a space is one."""
    key = await world.add_key("acme")
    for text in ("2026-11-24T06:30:15+01:00", "2026-11-24T06:30:15.5 01:00"):
        assert (await ask(client, key, **{"from": text}))["from"] == "2026-11-24T05:30:00.000Z"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_1500_intervals_are_allowed(world: World, client: httpx2.AsyncClient) -> None:
    """25 hours of minutes, and not one more."""
    key = await world.add_key("acme")
    query = {"granularity": "minute", "to": "2026-11-24T01:00:00Z"}
    assert (await ask(client, key, **query, **{"from": "2026-11-23T00:00:00Z"}))["granularity"] == "minute"
    refused = await client.get("/v1/usage", headers=key.headers, params={**query, "from": "2026-11-22T23:59:59Z"})
    assert refused.status_code == 422
