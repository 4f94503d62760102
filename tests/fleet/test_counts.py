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
    answered. Also of a tenant that nobody else has heard of: who starts next brings what the dead one has left."""
    fleet = start_fleet(3)
    node = fleet.nodes[0]
    crowd = Crowd()
    for tenant_id, clients in (("acme", CLIENTS), ("lonely", 2)):
        await world.add_tenant(tenant_id, "pro")
        key = (await world.add_key(tenant_id)).text
        for number in range(clients):
            asked = fleet.nodes[number % 3] if tenant_id == "acme" else node
            crowd.add(tenant_id, asked.port, key, pause_s=0.02)
    await asyncio.sleep(10 if FULL else 1)
    await asyncio.to_thread(how, node)
    await asyncio.sleep(0.3)
    await crowd.stop()
    await asyncio.to_thread(fleet.start_again, node)
    await asyncio.sleep(0.5)
    fleet.stop()
    for tenant_id in ("acme", "lonely"):
        answered = Counter(answer.code for answer in crowd.of(tenant_id))
        counted = await judging.counted(postgres_url, tenant_id)
        sent = sum(sent for name, sent in crowd.unanswered if name == tenant_id)
        assert not answered - counted, (answered, counted)
        assert (counted - answered).total() <= sent
