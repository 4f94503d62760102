"""Usage totals equal the decisions: by key, outcome and operation, over a restart and over a kill (goal A4)."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from typing import Any, NamedTuple

import httpx2
from sqlalchemy import text
from tests.usage.world import START_US, Key, World

from aitbc import keyformat
from aitbc.schemas.scopes import Scope
from aitbc_server.clock import US_PER_S, from_ms

FULL = os.environ.get("AITBC_FULL") == "1"
REQUESTS = 10_000 if FULL else 400

#: How often each kind of decision was answered: (tenant, environment, kid, operation, outcome).
Answers = Counter[tuple[str, str, str, str, str]]

# Where nothing is refused for what is in the request itself; the operation that each is counted under.
PATHS = {
    ("GET", "/v1/usage"): "usage.get",
    ("GET", "/v1/jobs"): "jobs.list",
    ("GET", "/v1/api-keys"): "api_keys.list",
    ("GET", "/v1/audit-log"): "audit_log.list",
    ("GET", "/v1/jobs/job_none"): "jobs.get",
    ("POST", "/v1/api-keys"): "api_keys.create",
    ("GET", "/v1/no-such-thing"): "unmatched",
    ("DELETE", "/v1/usage"): "unmatched",
}
VERIFY = "/v1/api-keys/verify"
VERIFY_OPERATION = "api_keys.verify"
#: What a verify call says of a known key, and the outcome that the key's own decision is counted under.
VERDICTS = {
    "VALID": "allowed",
    "REVOKED": "revoked_api_key",
    "EXPIRED": "expired_api_key",
    "DISABLED": "disabled_api_key",
    "INSUFFICIENT_SCOPE": "insufficient_scope",
    "TENANT_MISMATCH": "tenant_mismatch",
    "TENANT_SUSPENDED": "tenant_suspended",
    "IP_NOT_ALLOWED": "ip_not_allowed",
    "RATE_LIMITED": "rate_limit_exceeded",
}
REFUSALS = {
    "revoked_api_key",
    "disabled_api_key",
    "expired_api_key",
    "tenant_mismatch",
    "tenant_suspended",
    "ip_not_allowed",
    "insufficient_scope",
    "rate_limit_exceeded",
}


class Caller(NamedTuple):
    """A key, and for whom its requests are counted."""

    key: Key
    tenant_id: str
    environment: str
    asserted: str | None = None


async def callers(world: World) -> list[Caller]:
    """One for each reason to refuse, and some that are let in; three unknown keys, which are not counted."""
    for tenant_id, plan in (("small", "free"), ("large", "enterprise")):
        await world.add_tenant(tenant_id, plan)
    await world.add_tenant("frozen", suspended=True)
    past, now = from_ms(START_US // 1000 - 1), world.clock.timestamp()
    every = set(Scope)
    gateway = await world.add_key("large", scopes={Scope.API_KEYS_VERIFY}, verifies_all=True)
    granted = await world.add_key("large", scopes=every, also=["small"])
    return [
        Caller(await world.add_key("large", scopes=every), "large", "live"),
        Caller(await world.add_key("large", "test", scopes=every), "large", "test"),
        Caller(gateway, "large", "live"),
        Caller(granted, "large", "live"),
        Caller(granted, "small", "live", asserted="small"),
        Caller(granted, "large", "live", asserted="frozen"),
        Caller(await world.add_key("large", scopes={Scope.JOBS_READ}), "large", "live"),
        Caller(await world.add_key("large", scopes=every, limit_per_minute=2), "large", "live"),
        Caller(await world.add_key("large", scopes=every, allowed_ips=["198.51.100.0/24"]), "large", "live"),
        Caller(await world.add_key("large", scopes=every, revoked_at=now), "large", "live"),
        Caller(await world.add_key("large", scopes=every, enabled=False), "large", "live"),
        Caller(await world.add_key("large", scopes=every, expires_at=past), "large", "live"),
        Caller(await world.add_key("small", scopes=every), "small", "live"),
        Caller(await world.add_key("frozen", scopes=every), "frozen", "live"),
        *(Caller(Key("", keyformat.build(*keyformat.generate("live"))), "", "") for _ in range(3)),
    ]


async def storm(client: httpx2.AsyncClient, world: World, who: list[Caller], seed: int) -> Answers:
    """Random requests, twenty at a time, over some minutes; what was answered."""
    chance = random.Random(seed)
    answers = Answers()

    async def one(caller: Caller, method: str, path: str) -> None:
        headers = dict(caller.key.headers)
        if caller.asserted is not None:
            headers["X-Tenant-ID"] = caller.asserted
        answer = await client.request(method, path, headers=headers)
        code = answer.json().get("code") if answer.status_code >= 400 else None
        if not caller.key.id:
            assert code == "invalid_api_key"
            return
        assert answer.status_code < 500, answer.text
        outcome = code if code in REFUSALS else "allowed"
        answers[caller.tenant_id, caller.environment, caller.key.kid, PATHS[method, path], outcome] += 1

    async def verify(gateway: Caller, caller: Caller, scope: str) -> None:
        """Two decisions: on the gateway's own key, and on the key that was presented to it."""
        body = {"key": caller.key.text, "client_ip": "192.0.2.1", "scope": scope}
        if caller.asserted is not None:
            body["tenant_id"] = caller.asserted
        answer = await client.post(VERIFY, headers=gateway.key.headers, json=body)
        assert answer.status_code == 200, answer.text
        answers[gateway.tenant_id, gateway.environment, gateway.key.kid, VERIFY_OPERATION, "allowed"] += 1
        code = answer.json()["code"]
        assert (code == "NOT_FOUND") == (not caller.key.id)
        if caller.key.id:
            outcome = VERDICTS[code]
            answers[caller.tenant_id, caller.environment, caller.key.kid, VERIFY_OPERATION, outcome] += 1

    for _ in range(REQUESTS // 20):
        requests = [(chance.choice(who), *chance.choice(list(PATHS))) for _ in range(20)]
        checked = [(who[2], chance.choice(who), chance.choice(["jobs:read", "jobs:write"])) for _ in range(5)]
        await asyncio.gather(*(one(*request) for request in requests), *(verify(*each) for each in checked))
        world.clock.now_us += chance.randint(0, 6 * US_PER_S)
    return answers


async def stored(world: World) -> Answers:
    """What the database has."""
    statement = (
        "SELECT tenant_id, environment, kid, operation, outcome, CAST(SUM(count) AS bigint)"
        " FROM usage_minutes GROUP BY 1, 2, 3, 4, 5"
    )
    async with world.database.read() as session:
        return Answers({tuple(row[:5]): row[5] for row in await session.execute(text(statement))})


async def assert_answered(client: httpx2.AsyncClient, asker: Caller, answers: Answers) -> None:
    """The API's own sums, in each grouping, for the asker's tenant and environment."""
    for position, name in ((2, "key"), (3, "operation"), (4, "outcome")):
        answers[asker.tenant_id, asker.environment, asker.key.kid, "usage.get", "allowed"] += 1
        query = {"group_by": name, "granularity": "minute", "from": "2026-11-24T05:00:00Z"}
        answer: dict[str, Any] = (await client.get("/v1/usage", headers=asker.key.headers, params=query)).json()
        mine = {key: n for key, n in answers.items() if key[:2] == (asker.tenant_id, asker.environment)}
        expected = Counter[str]()
        for key, n in mine.items():
            expected[f"key_{key[2]}" if name == "key" else key[position]] += n
        field = {"key": "key_id"}.get(name, name)
        assert {each[field]: sum(n for _, n in each["points"]) for each in answer["series"]} == expected
        outcomes = Counter[str]()
        for key, n in mine.items():
            outcomes[key[4]] += n
        assert answer["totals"] == {
            "total": sum(mine.values()),
            "allowed": outcomes["allowed"],
            "refused": sum(mine.values()) - outcomes["allowed"],
            "outcomes": outcomes,
        }


async def test_totals_equal_decisions_over_stops_and_starts(world: World) -> None:
    """Each answer to a known key is one count, in the API's sums at once, in the database after a stop.

    Allowed or refused, and why: ASVS 16.3.1, 16.3.2.
    """
    who = await callers(world)
    answers = Answers()
    for run in range(2):
        async with world.server() as client:
            answers += await storm(client, world, who, seed=run)
            await assert_answered(client, who[0], answers)
            await assert_answered(client, who[1], answers)
        assert await stored(world) == answers
    assert {key[4] for key in answers} == {"allowed", *REFUSALS}
    assert {key[3] for key in answers} == {VERIFY_OPERATION, *PATHS.values()}
    verified = {key[4] for key in answers if key[3] == VERIFY_OPERATION}
    assert verified == set(VERDICTS.values())


async def test_a_kill_loses_no_more_than_was_not_flushed(world: World) -> None:
    """Killed without any notice 250 ms after the last answer: every count is there in the next run, once."""
    who = await callers(world)
    async with world.server(killed=True) as client:
        answers = await storm(client, world, who, seed=3)
        await asyncio.sleep(0.25)
    assert sum((await stored(world)).values()) < sum(answers.values())
    async with world.server() as client:
        await assert_answered(client, who[0], answers)
    assert await stored(world) == answers


async def test_what_comes_right_before_a_kill_may_be_lost_but_is_not_made_up(world: World) -> None:
    """Without that quarter of a second, the counts are at most the answers, and at least those a flush ago."""
    who = await callers(world)
    async with world.server(killed=True) as client:
        before = await storm(client, world, who, seed=4)
        await asyncio.sleep(0.25)
        late = await storm(client, world, who, seed=5)
    async with world.server():
        pass
    found = await stored(world)
    assert before <= found <= before + late
