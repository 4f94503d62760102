"""Usage equals the decisions when nodes end, however they do (goal A4)."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable

import pytest
from tests.e2e.processes import ServerProcess
from tests.fleet import judging
from tests.fleet.conftest import StartFleet
from tests.support.load import Crowd
from tests.usage.world import World

FULL = os.environ.get("AITBC_FULL") == "1"
CLIENTS = 256 if FULL else 16


@pytest.mark.parametrize("how", [ServerProcess.kill, ServerProcess.stop], ids=["SIGKILL", "SIGTERM"])
async def test_nothing_that_was_answered_goes_uncounted(
    start_fleet: StartFleet, world: World, postgres_url: str, how: Callable[[ServerProcess], object]
) -> None:
    """One of three nodes ends under load: answers <= counts <= requests sent, and one count for each where all were
    answered."""
    fleet = start_fleet(3)
    await world.add_tenant("acme", "pro")
    key = (await world.add_key("acme")).text
    node = fleet.nodes[0]
    crowd = Crowd()
    for number in range(CLIENTS):
        crowd.add("acme", fleet.nodes[number % 3].port, key, pause_s=0.02)
    await asyncio.sleep(10 if FULL else 1)
    await asyncio.to_thread(how, node)
    await asyncio.sleep(0.3)
    await crowd.stop()
    fleet.nodes.remove(node)
    fleet.stop()
    answered = Counter(answer.code for answer in crowd.of("acme"))
    counted = await judging.counted(postgres_url, "acme")
    sent = sum(sent for _, sent in crowd.unanswered)
    assert not answered - counted, (answered, counted)
    assert (counted - answered).total() <= sent
