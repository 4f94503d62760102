"""A tenant of a fleet whose keys are changed, what the nodes answer meanwhile, and what they answer from then on."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy import update
from tests.fleet.conftest import Fleet
from tests.support.load import Answer, Crowd, HttpClient
from tests.usage.world import World

from aitbc_server.tenants.model import PlanRow

FULL = os.environ.get("AITBC_FULL") == "1"
#: Of those with a fault injected, which take a second each.
FAULTY_TRIALS = 200 if FULL else 1
#: The outbox is drained every second; the rest is for a busy machine.
HEALED_S = 3.0
SELF = "/v1/api-keys/self"
ROOMY = {"AITBC_MAX_FAILURES_PER_MINUTE": "1000000"}


class Scene:
    """A fleet, a tenant without a limit that matters, a manager's key, and everything that was answered."""

    def __init__(self, fleet: Fleet, manager: str) -> None:
        self.fleet = fleet
        self.manager = manager
        self.random = random.Random(7)
        self.answers: Counter[str] = Counter()

    async def change(self, path: str, body: Any, *, method: str = "POST", node: int | None = None) -> Answer:
        """Something that the manager does, on any node."""
        node = self.random.randrange(len(self.fleet.nodes)) if node is None else node
        with HttpClient(self.fleet.nodes[node].port) as client:
            return await client.ask(self.manager, path, body, method=method)

    async def new_key(self, *scopes: str) -> tuple[str, str]:
        """A key's id and text."""
        made = await self.change("/v1/api-keys", {"name": "victim", "scopes": list(scopes or ("jobs:read",))})
        assert made.status == 201, made.body
        return made.json["id"], made.json["key"]

    async def revoke(self, key_id: str, node: int | None = None) -> Answer:
        """On any node, or on this one."""
        return await self.change(f"/v1/api-keys/{key_id}/revoke", {}, node=node)

    async def during(
        self, key: str, change: Callable[[], Awaitable[Answer]], *, path: str = SELF, nodes: Sequence[int] = ()
    ) -> tuple[Answer, dict[int, list[Answer]]]:
        """Make a change while clients use a key on every node. Its answer; and by node, the answers to requests that
        began later than that."""
        crowd = Crowd()
        numbers = nodes or range(len(self.fleet.nodes))
        for number in numbers:
            for _ in range(2):
                crowd.add(str(number), self.fleet.nodes[number].port, key, path)
        await asyncio.sleep(self.random.uniform(0.02, 0.06))
        changed = await change()
        async with asyncio.timeout(10):
            # Until some requests to each node began later; the clients ring no bell.
            while not all(sum(each.began_s > changed.ended_s for each in crowd.of(str(n))) >= 2 for n in numbers):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await crowd.stop()
        assert not crowd.unanswered
        self.answers.update(answer.code for _, answer in crowd.answers)
        later = {
            number: [each for each in crowd.of(str(number)) if each.began_s > changed.ended_s] for number in numbers
        }
        return changed, later

    async def until(self, key: str, code: str, nodes: Sequence[int] = ()) -> None:
        """Return once every node says this of a key. Raises TimeoutError where one does not, within a moment."""
        async with asyncio.timeout(HEALED_S):
            while await self.once(key, nodes=nodes) != {code}:  # noqa: ASYNC110 - other processes ring no bell
                await asyncio.sleep(0.05)

    async def once(self, key: str, path: str = SELF, *, nodes: Sequence[int] = ()) -> set[str]:
        """What each node says of a key, now."""
        clients = [HttpClient(self.fleet.nodes[number].port) for number in nodes or range(len(self.fleet.nodes))]
        asked = await asyncio.gather(*(client.ask(key, path) for client in clients))
        for client in clients:
            client.close()
        self.answers.update(each.code for each in asked)
        return {each.code for each in asked}


def codes(later: dict[int, list[Answer]]) -> set[str]:
    """What was said, on whatever node."""
    return {answer.code for answers in later.values() for answer in answers}


async def set_scene(fleet: Fleet, world: World) -> Scene:
    """The fleet's tenant, before anybody asked for anything."""
    await make_room(world)
    await world.add_tenant("acme")
    return Scene(fleet, (await world.add_key("acme")).text)


async def make_room(world: World) -> None:
    """The tenants' plan has a limit that no test reaches."""
    async with world.database.write() as session:
        await session.execute(update(PlanRow).where(PlanRow.id == "enterprise").values(limit_per_minute=10_000_000))
        await session.commit()
