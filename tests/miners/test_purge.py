"""Miners are forgotten a month after they were last heard of, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from tests.jobs.market import Market

from aitbc_server.clock import US_PER_S
from aitbc_server.miners import purge, repository
from aitbc_server.miners.purge import KEPT_FOR


async def purged(market: Market) -> list[str]:
    """The ids of the miners that a purge leaves."""
    await purge.purge(market.node.miners._units, market.node.presence)
    return sorted(miner.miner_id for miner in (await market.node.miners.list(market.client)).items)


def step(market: Market, seconds: float) -> None:
    market.clock.now_us += int(seconds * US_PER_S)


async def test_who_was_not_seen_for_a_month_is_forgotten(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one moment earlier, whatever their number; a sign of life that is not written yet counts."""
    monkeypatch.setattr(purge, "_PORTION", 2)
    for number in range(5):
        await market.node.register(market.miner, f"old-{number}")
    await market.node.register(market.miner, "alive")
    step(market, KEPT_FOR.total_seconds())
    assert len(await purged(market)) == 6
    step(market, 0.001)
    await market.node.poll(market.miner, "alive")
    assert await purged(market) == ["alive"]


async def test_a_miner_with_a_running_job_is_kept(market: Market) -> None:
    """Until the job is over, one way or the other."""
    await market.node.register(market.miner, "rig")
    await market.node.submit(market.client, ttl_seconds=1)
    await market.node.work(market.miner, "rig")
    step(market, KEPT_FOR.total_seconds() + 1)
    assert await purged(market) == ["rig"]
    await market.node.sweeper.step()
    assert await purged(market) == []


async def test_who_registers_meanwhile_is_kept(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the deletion."""
    await market.node.register(market.miner, "rig")
    step(market, KEPT_FOR.total_seconds() + 1)
    unseen = repository.unseen_since

    async def registers_meanwhile(*args: Any, **limits: Any) -> Any:
        found = await unseen(*args, **limits)
        if found:
            await market.node.beat(market.miner, "rig")
        return found

    monkeypatch.setattr(repository, "unseen_since", registers_meanwhile)
    assert await purged(market) == ["rig"]
