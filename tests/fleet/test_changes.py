"""A change of a key is in effect on every process once it is answered, whatever dies meanwhile (goal A3)."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update
from tests.e2e.processes import ServerProcess
from tests.fleet import judging, plugins
from tests.fleet.conftest import Fleet, StartFleet
from tests.support.cable import Cable
from tests.support.load import Answer, Crowd, HttpClient, UnansweredError
from tests.usage.world import World

from aitbc_server.tenants.model import PlanRow

FULL = os.environ.get("AITBC_FULL") == "1"
TRIALS = 200 if FULL else 2
#: The outbox is drained every second; the rest is for a busy machine.
HEALED_S = 3.0
SELF, JOBS = "/v1/api-keys/self", "/v1/jobs"
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
    async with world.database.write() as session:
        await session.execute(update(PlanRow).where(PlanRow.id == "enterprise").values(limit_per_minute=10_000_000))
        await session.commit()
    await world.add_tenant("acme")
    return Scene(fleet, (await world.add_key("acme")).text)


async def revoking(scene: Scene) -> None:
    key_id, key = await scene.new_key()
    changed, later = await scene.during(key, lambda: scene.change(f"/v1/api-keys/{key_id}/revoke", {}))
    assert (changed.status, codes(later)) == (200, {"revoked_api_key"})


async def regenerating(scene: Scene) -> None:
    key_id, key = await scene.new_key()
    changed, later = await scene.during(key, lambda: scene.change(f"/v1/api-keys/{key_id}/regenerate", {}))
    assert (changed.status, codes(later)) == (200, {"invalid_api_key"})
    assert await scene.once(changed.json["key"]) == {"allowed"}


async def patching(scene: Scene, field: str, path: str, refused: str, values: tuple[Any, Any]) -> None:
    """A field is set to what makes nodes refuse, and back."""
    key_id, key = await scene.new_key("jobs:read", "usage:read")
    for value, expected in zip(values, (refused, "allowed"), strict=True):
        change = partial(scene.change, f"/v1/api-keys/{key_id}", {field: value}, method="PATCH")
        changed, later = await scene.during(key, change, path=path)
        assert (changed.status, codes(later)) == (200, {expected})


async def disabling(scene: Scene) -> None:
    await patching(scene, "enabled", SELF, "disabled_api_key", (False, True))


async def narrowing(scene: Scene) -> None:
    await patching(scene, "scopes", JOBS, "insufficient_scope", (["usage:read"], ["usage:read", "jobs:read"]))


async def suspending(scene: Scene) -> None:
    """The operator's command, which is a process of its own."""
    _, key = await scene.new_key()
    for command, expected in (("suspend-tenant", "tenant_suspended"), ("resume-tenant", "allowed")):

        async def operate(command: str = command) -> Answer:
            await asyncio.to_thread(scene.fleet.nodes[0].admin, command, "acme")
            with HttpClient(scene.fleet.nodes[0].port) as client:
                return await client.ask("", "/health/live")

        _, later = await scene.during(key, operate)
        assert codes(later) == {expected}


async def test_a_change_is_in_effect_everywhere_once_it_is_answered(
    start_fleet: StartFleet, world: World, postgres_url: str
) -> None:
    """No request that began later is judged by what was before, on any of four processes under load; and so is none
    that is to be let in again. Every decision is counted. ASVS 8.3.2."""
    fleet = start_fleet(4, **ROOMY)
    scene = await set_scene(fleet, world)
    for _ in range(TRIALS):
        for trial in (revoking, regenerating, disabling, narrowing):
            await trial(scene)
    for _ in range(TRIALS if FULL else 1):
        await suspending(scene)
    fleet.stop()
    counted = await judging.counted(postgres_url, "acme") - await judging.counted(postgres_url, "acme", scene.manager)
    del scene.answers["invalid_api_key"]
    assert counted == scene.answers


async def die_while_revoking(scene: Scene, victim: ServerProcess, key_id: str, key: str) -> Crowd:
    """The node commits and dies before the fence is set; what the others say meanwhile."""
    alive = [number for number, node in enumerate(scene.fleet.nodes) if node is not victim]
    crowd = Crowd()
    for number in alive:
        crowd.add(str(number), scene.fleet.nodes[number].port, key, pause_s=0.01)
    await asyncio.sleep(0.1)
    (victim.data_dir / plugins.DIE_AFTER_COMMIT).touch()
    with pytest.raises(UnansweredError):
        await scene.change(f"/v1/api-keys/{key_id}/revoke", {}, node=scene.fleet.nodes.index(victim))
    await scene.until(key, "revoked_api_key", alive)
    return crowd


async def test_a_node_that_dies_between_commit_and_fence_leaves_nothing_half_done(
    start_fleet: StartFleet, world: World
) -> None:
    """Nobody got an answer, and within a moment the others know: the outbox says so."""
    fleet = start_fleet(2, **ROOMY)
    scene = await set_scene(fleet, world)
    for _ in range(20 if FULL else 1):
        victim = fleet.add_node(plugins.die_after_commit)
        key_id, key = await scene.new_key()
        assert await scene.once(key) == {"allowed"}
        crowd = await die_while_revoking(scene, victim, key_id, key)
        assert victim.process.wait(5) == -9
        fleet.nodes.remove(victim)
        await asyncio.sleep(0.1)
        await crowd.stop()
        for number in ("0", "1"):
            said = [answer.code for answer in crowd.of(number)]
            assert said[0] == "allowed", "it was revoked before it was in use"
            # Once a node knows, it does not forget.
            assert "allowed" not in said[said.index("revoked_api_key") :]


async def test_a_node_that_is_cut_off_from_the_store_keeps_the_promise(start_fleet: StartFleet, world: World) -> None:
    """What others answered is in effect on it at once, whether the way is cut or only silent; what it changes by itself
    is answered 202, is in effect on it at once, and on all others within a moment."""
    fleet = start_fleet(2, **ROOMY)
    scene = await set_scene(fleet, world)
    async with Cable(fleet.valkey.port).laid() as cable:
        url = f"valkey://127.0.0.1:{cable.port}"
        await asyncio.to_thread(fleet.add_node, AITBC_VALKEY_URL=url)
        for _ in range(50 if FULL else 1):
            for cut_off in (cable.cut, cable.freeze):
                first, second = [await scene.new_key() for _ in range(2)]
                assert await scene.once(first[1]) == await scene.once(second[1]) == {"allowed"}
                cut_off()
                changed, later = await scene.during(
                    first[1], partial(scene.change, f"/v1/api-keys/{first[0]}/revoke", {}, node=0)
                )
                assert (changed.status, codes(later)) == (200, {"revoked_api_key"})
                revoking_there = partial(scene.change, f"/v1/api-keys/{second[0]}/revoke", {}, node=2)
                changed, later = await scene.during(second[1], revoking_there, nodes=[2])
                assert (changed.status, codes(later)) == (202, {"revoked_api_key"})
                await scene.until(second[1], "revoked_api_key")
                cable.mend()
                await asyncio.sleep(0.5)
