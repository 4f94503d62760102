"""Nodes behind nginx are restarted one by one, with the configuration of ``deploy/``; clients see nothing of it."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

from sqlalchemy import func, select
from tests.e2e.processes import STOP_S
from tests.fleet import judging
from tests.fleet.conftest import Fleet, StartFleet
from tests.support.load import HttpClient
from tests.support.nginx import NAME, Nginx
from tests.usage.world import World

from aitbc_server.jobs.model import JobRow

FULL = os.environ.get("AITBC_FULL") == "1"
ROUNDS = 20 if FULL else 1
CLIENTS = 4
RETRIES = 3
#: nginx does not ask a node again for up to 2 s once it was refused (``fail_timeout``, in whole seconds), ready or not.
PAUSE_S = 2.3
#: Between a client's requests: all of them together stay within the tenant's limit.
THINKING_S = 0.1


async def restart_each(fleet: Fleet) -> None:
    """SIGTERM, wait, start: one node after the other."""
    for node in list(fleet.nodes):
        node.process.terminate()
        assert await asyncio.to_thread(node.process.wait, STOP_S) == 0
        await asyncio.to_thread(fleet.start_again, node)
        await asyncio.sleep(PAUSE_S)


async def test_clients_see_no_error_while_nodes_are_restarted(
    start_fleet: StartFleet, world: World, tmp_path: Path, postgres_url: str
) -> None:
    """What only reads is answered as if nothing happened. What makes a job, too; where a node ended under it, nginx
    says 503, and who sends it once more with its idempotency key, as the SDK does, gets the one job."""
    fleet = start_fleet(2, AITBC_TRUSTED_PROXIES="127.0.0.1", AITBC_PUBLIC_URL=f"https://{NAME}")
    await world.add_tenant("acme")
    key = (await world.add_key("acme")).text
    proxy = Nginx(tmp_path / "nginx", [node.port for node in fleet.nodes])
    tls = ssl.create_default_context(cafile=str(proxy.authority))
    statuses: Counter[int] = Counter()
    stopping = False

    async def read(client: HttpClient) -> None:
        statuses[(await client.ask(key)).status] += 1

    async def submit(client: HttpClient) -> None:
        headers = {"idempotency-key": uuid4().hex}
        for _ in range(RETRIES):
            answer = await client.ask(key, "/v1/jobs", {"payload": {"n": 1}}, headers=headers)
            if answer.status != 503:
                break
            await asyncio.sleep(0.2)
        statuses[answer.status] += 1

    async def use(once: Callable[[HttpClient], Awaitable[None]]) -> None:
        with HttpClient(proxy.https, name=NAME, tls=tls) as client:
            while not stopping:
                await once(client)
                await asyncio.sleep(THINKING_S)

    with proxy.running():
        clients = [asyncio.create_task(use(once)) for once in (read, submit) * CLIENTS]
        for _ in range(ROUNDS):
            await restart_each(fleet)
        stopping = True
        await asyncio.gather(*clients)
    async with world.database.read() as session:
        listed = (await session.scalar(select(func.count()).select_from(JobRow))) or 0
    fleet.stop()
    assert set(statuses) == {200, 201}, proxy.errors()
    assert listed == statuses[201]
    # What a node had read when it ended is asked again of the other one.
    again = 2 * ROUNDS * 2 * CLIENTS
    assert 0 <= (await judging.counted(postgres_url, "acme")).total() - statuses.total() <= again
