"""Registering, which miner a call means, presence, the list: on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from tests.jobs.market import Market

from aitbc.schemas.miners import Heartbeat, RegisterMiner, SubmitFailure, SubmitResult
from aitbc.schemas.scopes import Environment
from aitbc_server.actor import Actor
from aitbc_server.clock import US_PER_S
from aitbc_server.errors import Code, DomainError
from aitbc_server.miners.views import ONLINE_FOR


async def miner_ids(market: Market, actor: Actor) -> list[str]:
    """The ids of the miners that the actor sees."""
    return [miner.miner_id for miner in (await market.node.miners.list(actor)).items]


async def test_a_call_without_a_miner_id_means_the_one_registered_last(market: Market) -> None:
    """Also within one millisecond; registering an older one again makes it the latest."""
    node = market.node
    for miner_id in ("one", "two", "one"):
        await node.register(market.miner, miner_id)
    await node.submit(market.client)
    job = await node.work(market.miner)
    assert (await node.jobs.get(market.client, job.job_id)).assigned_miner_id == "one"
    with pytest.raises(DomainError, match=r"miner 'one' holds the job's lease.*\?miner_id=") as caught:
        await node.finish(market.miner, job.job_id, "two")
    assert caught.value.code == Code.CONFLICT
    await node.finish(market.miner, job.job_id, "one")


async def test_registering_without_an_id_keeps_the_latest_or_makes_one(market: Market) -> None:
    """A client that never names itself stays one miner over its restarts; what it says replaces what it said."""
    node = market.node
    await node.register(market.miner, capabilities={"gpu": "T4"})
    (made,) = await miner_ids(market, market.miner)
    assert made.startswith("miner_")
    await node.register(market.miner, capabilities={"gpu": "A100"}, concurrency=4, region="eu")
    (shown,) = (await node.miners.list(market.miner)).items
    assert (shown.miner_id, shown.capabilities, shown.concurrency, shown.region) == (made, {"gpu": "A100"}, 4, "eu")
    await node.register(market.miner, "named")
    await node.register(market.miner)
    assert await miner_ids(market, market.miner) == ["named", made]


async def test_a_session_token_is_fresh_each_time(market: Market) -> None:
    """Existing miners expect a token. It is random, and no table of ours has a place for it."""
    tokens = {await market.node.miners.register(market.miner, "rig", RegisterMiner()) for _ in range(3)}
    assert len(tokens) == 3
    assert all(len(token) >= 32 for token in tokens)


async def test_the_same_miner_id_of_two_keys_is_two_miners(market: Market) -> None:
    """A miner is the pair of a key and its id: nobody can act for another key's miner."""
    node = market.node
    await node.register(market.miner, "rig", capabilities={"gpu": "A100"})
    await node.register(market.strange_miner, "rig")
    await node.submit(market.client, constraints={"gpu": "A100"})
    assert await node.poll(market.strange_miner, "rig") is None
    job = await node.work(market.miner, "rig")
    with pytest.raises(DomainError) as caught:
        await node.finish(market.strange_miner, job.job_id, "rig")
    assert caught.value.code == Code.NOT_FOUND


@pytest.mark.parametrize("miner_id", [None, "rig"])
async def test_a_miner_that_is_not_registered_is_told_what_to_do(market: Market, miner_id: str | None) -> None:
    """404, naming the call to make, for a heartbeat, a poll, a result; also where another key has that id."""
    node, actor = market.node, market.miner
    await node.register(market.strange_miner, "rig")
    calls: list[Any] = [
        node.beat(actor, miner_id),
        node.poll(actor, miner_id),
        node.finish(actor, "job_0123456789ABCDEFGHIJ", miner_id),
    ]
    for call in calls:
        with pytest.raises(DomainError, match="/v1/miners/register") as caught:
            await call
        assert caught.value.code == Code.NOT_FOUND


async def test_a_miner_is_of_the_tenant_that_its_key_acted_for(market: Market) -> None:
    """A key with further tenants registers once for each: it never polls for one as another's miner."""
    node = market.node
    elsewhere = Actor(**{**_fields(market.miner), "tenant_id": "rival"})
    await node.register(market.miner, "rig")
    with pytest.raises(DomainError) as caught:
        await node.beat(elsewhere, "rig")
    assert caught.value.code == Code.NOT_FOUND
    await node.register(elsewhere, "rig")
    assert await miner_ids(market, market.client) == []
    assert await miner_ids(market, market.stranger) == ["rig"]


async def test_a_miner_is_online_while_it_is_heard_of(market: Market) -> None:
    """Heartbeats and polls count; after the longest poll and half a minute without any it is OFFLINE."""
    node = market.node
    await node.register(market.miner)
    for sign_of_life in (node.beat, node.poll):
        market.clock.now_us += 1000
        await sign_of_life(market.miner)
        market.clock.now_us += int(ONLINE_FOR.total_seconds() * US_PER_S)
        assert (await node.miners.list(market.miner)).items[0].status == "ONLINE"
    market.clock.now_us += 1000
    assert (await node.miners.list(market.miner)).items[0].status == "OFFLINE"


async def test_the_list_is_the_tenants_of_the_keys_environment(market: Market) -> None:
    """All keys' miners of the tenant, the latest first, in pages; a test key sees test miners only."""
    node = market.node
    other = await market.actor("acme")
    tester = await market.actor("acme", Environment.TEST)
    for number, actor in enumerate((market.miner, other, market.strange_miner, tester, market.miner)):
        await node.register(actor, f"rig-{number}")
    seen = []
    cursor = None
    while True:
        page = await node.miners.list(market.client, limit=1, cursor=cursor)
        seen += [miner.miner_id for miner in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen[0] == "rig-4"
    assert sorted(seen) == ["rig-0", "rig-1", "rig-4"]
    assert await miner_ids(market, tester) == ["rig-3"]
    with pytest.raises(DomainError) as caught:
        await node.miners.list(market.stranger, cursor=(await node.miners.list(market.client, limit=1)).next_cursor)
    assert caught.value.code == Code.BAD_REQUEST


async def test_what_a_database_cannot_hold_is_refused_with_the_fields_name(market: Market) -> None:
    """NUL in free text or JSON: 422 in every call of a miner, and nothing changes."""
    node, actor = market.node, market.miner
    await node.register(actor)
    job = await node.submit(market.client)
    await node.work(actor)
    miners, job_id, bad = node.miners, job.job_id, "\x00"
    calls: dict[str, Any] = {
        "capabilities": miners.register(actor, None, RegisterMiner(capabilities={"a": bad})),
        "region": miners.register(actor, None, RegisterMiner(region=bad)),
        "metadata": miners.heartbeat(actor, None, Heartbeat(metadata={bad: 1})),
        "status": miners.heartbeat(actor, None, Heartbeat(status=bad)),
        "result": miners.submit_result(actor, job_id, None, SubmitResult(result={"a": [bad]})),
        "metrics": miners.submit_result(actor, job_id, None, SubmitResult(result={}, metrics={"a": bad})),
        "error_code": miners.submit_failure(actor, job_id, None, SubmitFailure(error_code=bad)),
        "error_message": miners.submit_failure(actor, job_id, None, SubmitFailure(error_code="a", error_message=bad)),
    }
    for field, call in calls.items():
        with pytest.raises(DomainError) as caught:
            await call
        assert [error.field for error in caught.value.errors] == [field]
    await node.finish(actor, job_id)


async def test_a_person_is_no_miner(market: Market) -> None:
    """Only a key can register: a person on the dashboard cannot."""
    person = Actor(**{**_fields(market.miner), "type": "user", "kid": None, "environment": None})
    with pytest.raises(DomainError) as caught:
        await market.node.register(person)
    assert caught.value.code == Code.VALIDATION_ERROR


def _fields(actor: Actor) -> dict[str, Any]:
    return {name: getattr(actor, name) for name in actor.__struct_fields__}
