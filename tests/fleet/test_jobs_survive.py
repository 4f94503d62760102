"""Servers and miners are killed at random points; no job that was answered 201 is lost or done twice (goal A7)."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any

from tests.e2e.processes import ServerProcess, environment
from tests.fleet.conftest import StartFleet
from tests.fleet.scene import make_room
from tests.support.load import HttpClient, UnansweredError
from tests.support.warm import WarmProcess
from tests.usage.world import World

from aitbc.schemas.scopes import PRESET_SCOPES, Preset

FULL = os.environ.get("AITBC_FULL") == "1"
KILLS = 100 if FULL else 4
FINAL = {"COMPLETED", "FAILED", "CANCELED", "EXPIRED"}
#: Three leases of a second each that lapse, and a queue.
ENDED_S = 90.0 if FULL else 45.0

#: The number of a job whose first run tells of itself, by a file beside the program, and takes too long.
HELD = -1
PROGRAM = f"""#!{sys.executable} -IS
import json, os, random, sys, time
payload = json.load(sys.stdin)
held = sys.argv[0] + ".held"
if payload["n"] == {HELD} and not os.path.exists(held):
    open(held, "x").close()
    time.sleep(10)
time.sleep(random.random() / 10)
print(json.dumps({{"n": payload["n"], "run": random.getrandbits(60)}}))
"""


class Miner:
    """A real miner's process, started again when it was killed."""

    def __init__(self, folder: Path, name: str, server: ServerProcess, key: str, program: Path) -> None:
        self._arguments = ["miners", "run", "--miner-id", name, "--exec", str(program), "--concurrency", "2"]
        self._environment = environment(folder) | {"AITBC_BASE_URL": server.url, "AITBC_API_KEY": key}
        self._log = folder / f"{name}.log"
        self._log.touch()
        self.start()

    def start(self) -> None:
        """Begin, or begin again."""
        self.process = WarmProcess(self._arguments, env=self._environment, out=self._log, err=self._log)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(5)


class Market:
    """Jobs that are submitted whatever happens, each of them once, and what is seen of them."""

    def __init__(self, servers: list[ServerProcess], key: str) -> None:
        self.servers = servers
        self.key = key
        self.states: dict[str, dict[str, Any]] = {}
        self._stopping = False

    async def ask(self, *request: Any, **more: Any) -> Any:
        """Ask until there is an answer, of any server."""
        while True:
            server = random.choice(self.servers)
            try:
                with HttpClient(server.port) as client:
                    answer = await client.ask(self.key, *request, **more)
            except UnansweredError:
                await asyncio.sleep(0.05)
                continue
            if answer.status < 500:
                return answer
            await asyncio.sleep(0.05)

    async def submit(self) -> None:
        """Submit one job after the other, until ``stop``; some of them twice, as who did not get the answer does."""
        number = 0
        while not self._stopping:
            if await self.submit_one(number):
                number += random.random() < 0.8
            await asyncio.sleep(0.1)

    async def submit_one(self, number: int) -> bool:
        """Submit it, or see that it was; False where a request that a dead server had begun is told to come again."""
        headers = {"idempotency-key": f"job-{number}"}
        answer = await self.ask("/v1/jobs", {"payload": {"n": number}}, headers=headers)
        if answer.status != 201:
            return False
        self.states.setdefault(answer.json["job_id"], {"n": number})
        return True

    def stop(self) -> None:
        """No more jobs."""
        self._stopping = True

    async def listed(self) -> list[str]:
        """The ids of all jobs that there are, page by page."""
        ids: list[str] = []
        cursor = ""
        while True:
            page = (await self.ask(f"/v1/jobs?limit=100{cursor}")).json
            ids += [each["job_id"] for each in page["items"]]
            if page["next_cursor"] is None:
                return ids
            cursor = f"&cursor={page['next_cursor']}"

    async def look(self, *, at_all: bool = False) -> int:
        """How many jobs are not final. Raises AssertionError where a final one that was looked at changed."""
        unfinished = 0
        for job_id, seen in list(self.states.items()):
            if "end" in seen and not at_all and random.random() > 0.1:
                continue
            answer = await self.ask(f"/v1/jobs/{job_id}")
            assert answer.status == 200, f"{job_id} is lost"
            state = answer.json["state"]
            result = (await self.ask(f"/v1/jobs/{job_id}/result")).json if state == "COMPLETED" else None
            if state in FINAL:
                assert seen.setdefault("end", (state, result)) == (state, result), "a final state changed"
            else:
                assert "end" not in seen, "a final job went on"
                unfinished += 1
        return unfinished


async def test_every_job_ends_with_one_result(start_fleet: StartFleet, world: World, tmp_path: Path) -> None:
    """Servers and miners are killed at random; each job that was answered 201 ends, its result does not change, and no
    job was made twice."""
    fleet = start_fleet(2, AITBC_LEASE_SECONDS="1")
    await make_room(world)
    await world.add_tenant("acme")
    client = (await world.add_key("acme")).text
    program = tmp_path / "program"
    program.write_text(PROGRAM)
    program.chmod(0o700)
    miners = []
    for number in range(3):
        key = (await world.add_key("acme", scopes=PRESET_SCOPES[Preset.MINER])).text
        miners.append(Miner(tmp_path, f"miner{number}", fleet.nodes[number % 2], key, program))
    market = Market(fleet.nodes, client)
    submitting = asyncio.create_task(market.submit())
    drawn = random.Random(11)
    for _ in range(KILLS):
        await asyncio.sleep(drawn.uniform(0.1, 0.8))
        if drawn.random() < 0.5:
            miner = drawn.choice(miners)
            miner.kill()
            miner.start()
        else:
            node = drawn.choice(fleet.nodes)
            node.kill()
            await asyncio.to_thread(fleet.start_again, node)
        await market.look()
    # However the others died, one dies with a job in its hands.
    assert await market.submit_one(HELD)
    while not program.with_suffix(".held").exists():  # noqa: ASYNC110 - as below
        await asyncio.sleep(0.01)
    for miner in miners:
        miner.kill()
        miner.start()
    market.stop()
    await submitting
    async with asyncio.timeout(ENDED_S):
        while await market.look():  # noqa: ASYNC110 - other processes ring no bell
            await asyncio.sleep(0.2)
    await market.look(at_all=True)
    for miner in miners:
        miner.kill()
    numbers = [seen["n"] for seen in market.states.values()]
    assert len(numbers) == len(set(numbers)), "a job was made twice"
    ends = [seen["end"] for seen in market.states.values()]
    assert all(result["result"]["n"] == seen["n"] for seen in market.states.values() if (result := seen["end"][1]))
    assert sum(state == "COMPLETED" for state, _ in ends) > len(ends) / 2
    listed = await market.listed()
    assert len(listed) == len(set(listed)), "a list named a job twice"
    assert set(listed) == set(market.states), "a job was made that nobody was told of"
