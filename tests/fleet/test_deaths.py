"""What dies between a change's commit and its answer, and what a store brings back: see docs/explanation/fleet.md."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from tests.fleet import plugins
from tests.fleet.conftest import StartFleet
from tests.fleet.scene import FAULTY_TRIALS, HEALED_S, ROOMY, Scene, codes, set_scene
from tests.support.load import Crowd, UnansweredError
from tests.support.valkey import ValkeyProcess
from tests.support.valkey_groups import QUICK, ask, replicates, until
from tests.usage.world import World

from aitbc_server.db import outbox
from aitbc_server.gate.store_valkey import state_key


async def test_a_node_that_dies_between_fence_and_answer_has_made_the_change(
    start_fleet: StartFleet, world: World
) -> None:
    """It is in effect on every other node at once; a client that asks again, of another one, gets the same end."""
    fleet = start_fleet(2, **ROOMY)
    scene = await set_scene(fleet, world)
    for _ in range(FAULTY_TRIALS):
        key_id, key = await scene.new_key()
        victim = await asyncio.to_thread(fleet.add_node, plugins.die_after_fence)
        assert await scene.once(key) == {"allowed"}
        (victim.data_dir / plugins.DIE_AFTER_FENCE).touch()
        with pytest.raises(UnansweredError):
            await scene.revoke(key_id, 2)
        assert await scene.once(key, nodes=[0, 1]) == {"revoked_api_key"}
        assert victim.process.wait(5) == -9
        fleet.nodes.remove(victim)
        (victim.data_dir / plugins.DIE_AFTER_FENCE).unlink()
        again = await scene.revoke(key_id)
        assert (again.status, again.json["status"]) == (200, "revoked")
        assert await scene.once(key) == {"revoked_api_key"}


async def test_a_store_that_dies_between_commit_and_fence_is_said(start_fleet: StartFleet, world: World) -> None:
    """The change is answered 202, and in effect on every node, which asks the database meanwhile; and it stays so when
    the store comes back as it was before."""
    fleet = start_fleet(2, plugins.store_dies_after_commit, **ROOMY)
    scene = await set_scene(fleet, world)
    for _ in range(FAULTY_TRIALS):
        key_id, key = await scene.new_key()
        assert await scene.once(key) == {"allowed"}
        assert ask(fleet.valkey, "SAVE") == b"OK"
        (fleet.nodes[0].data_dir / plugins.STORE_DIES_AFTER_COMMIT).write_text(str(fleet.valkey.pid))
        changed, later = await scene.during(key, partial(scene.revoke, key_id, 0))
        assert (changed.status, changed.json["confirmed"]) == (202, False)
        assert codes(later) == {"revoked_api_key"}
        assert await asked_while_it_comes_back(scene, key) == {"revoked_api_key"}


async def asked_while_it_comes_back(scene: Scene, key: str) -> set[str]:
    """What all nodes say of a key from before the store is back until they decide by it again."""
    crowd = Crowd()
    for number, node in enumerate(scene.fleet.nodes):
        crowd.add(str(number), node.port, key, pause_s=0.01)
    # What the plugin has ended is still to be waited for.
    await asyncio.to_thread(scene.fleet.valkey.kill)
    await asyncio.to_thread(scene.fleet.valkey.start)
    await asyncio.sleep(0.5)
    await crowd.stop()
    return {answer.code for _, answer in crowd.answers}


@pytest.fixture
def replica(own_valkey: ValkeyProcess, tmp_path: Path) -> Iterator[ValkeyProcess]:
    """Follows the store."""
    follows = ("--replicaof", "127.0.0.1", str(own_valkey.port))
    with closing(ValkeyProcess(tmp_path / "replica", *QUICK, *follows)) as server:
        until(lambda: replicates(own_valkey, "probe"), "replication")
        yield server


async def test_a_replica_that_does_not_get_the_fence_is_said(
    start_fleet: StartFleet, world: World, replica: ValkeyProcess
) -> None:
    """The change is answered 202 though every node sees it at once: should the replica take over, it would bring the
    old fence back. Nobody waits for it for long, and all is as before when it goes on."""
    fleet = start_fleet(2, **ROOMY)
    scene = await set_scene(fleet, world)
    before, meanwhile, after = [await scene.new_key() for _ in range(3)]
    assert (await scene.revoke(before[0])).status == 200
    assert await scene.once(meanwhile[1]) == {"allowed"}
    replica.hang()
    changed, later = await scene.during(meanwhile[1], partial(scene.revoke, meanwhile[0]))
    assert (changed.status, changed.json["confirmed"]) == (202, False)
    assert codes(later) == {"revoked_api_key"}
    replica.go_on()
    await asyncio.to_thread(until, lambda: replicates(fleet.valkey, "probe"), "replication")
    assert (await scene.revoke(after[0])).status == 200


async def test_a_store_that_was_put_back_by_hand_is_believed_for_a_moment_at_most(
    start_fleet: StartFleet, world: World
) -> None:
    """No connection ends, nobody sets the fence once more, and it is as it was when nodes read the key: the outbox is
    what tells them."""
    fleet = start_fleet(2, **ROOMY)
    scene = await set_scene(fleet, world)
    key_id, key = await scene.new_key()
    assert await scene.once(key) == {"allowed"}
    assert ask(fleet.valkey, "COPY", state_key("acme"), "before") == 1
    assert (await scene.revoke(key_id, 0)).status == 200
    await until_drained(world)
    assert ask(fleet.valkey, "COPY", "before", state_key("acme"), "REPLACE") == 1
    await scene.until(key, "revoked_api_key")


async def until_drained(world: World) -> None:
    """Nobody will set a fence for what has changed so far."""
    async with asyncio.timeout(HEALED_S):
        while True:
            async with world.database.read() as session:
                if not await outbox.count_pending(session):
                    return
            await asyncio.sleep(0.05)
