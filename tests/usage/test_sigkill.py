"""A real server, killed by SIGKILL under load: what it had counted is there when it comes back."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.e2e.processes import running
from tests.usage.world import Clock, Key, World

from aitbc.schemas.scopes import Scope
from aitbc_server.clock import system_clock
from aitbc_server.db import migrate
from aitbc_server.db.engine import Database

# Enough to tell a count that is right from one that is lucky; a busy machine takes longer for them.
ANSWERS = 300
LOAD_S = 30.0
MAY_BE_LOST_S = 0.25


class Load:
    """Requests one after the other on one connection; when each was sent and answered, by the monotonic clock."""

    def __init__(self, port: int, key: Key) -> None:
        self.sent = 0
        self.answered_at: list[float] = []
        self._thread = threading.Thread(target=self._run, args=(port, key))
        self._thread.start()

    def join(self) -> None:
        """Wait for the connection's end."""
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()

    def _run(self, port: int, key: Key) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with suppress(OSError, http.client.HTTPException):
            while True:
                self.sent += 1
                connection.request("GET", "/v1/jobs", headers=dict(key.headers))
                answer = connection.getresponse()
                answer.read()
                self.answered_at.append(time.monotonic())
        connection.close()


def usage(port: int, key: Key) -> Any:
    """The server's own sums, by operation."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/v1/usage?group_by=operation", headers=dict(key.headers))
    answer = connection.getresponse()
    assert answer.status == 200
    series = json.loads(answer.read())["series"]
    connection.close()
    return {each["operation"]: sum(count for _, count in each["points"]) for each in series}


async def installation(folder: Path) -> Key:
    """A folder with a tenant and a key."""
    database = Database(f"sqlite+aiosqlite:///{folder / 'aitbc.db'}")
    await migrate.upgrade(database)
    world = World(database, folder, Clock(system_clock()))
    await world.add_tenant("acme")
    key = await world.add_key("acme", scopes={Scope.JOBS_READ, Scope.USAGE_READ})
    await database.close()
    return key


def test_a_killed_server_loses_a_quarter_of_a_second_at_most(tmp_path: Path) -> None:
    """Answers until 250 ms before the kill <= counts <= requests that were sent; a second kill changes nothing."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    key = asyncio.run(installation(folder))
    with running("serve", data_dir=folder) as server:
        loads = [Load(server.port, key) for _ in range(3)]
        until = time.monotonic() + LOAD_S
        while sum(len(load.answered_at) for load in loads) < ANSWERS and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(2 * MAY_BE_LOST_S)
        killed_at = time.monotonic()
        server.kill()
        for load in loads:
            load.join()
    due = sum(at < killed_at - MAY_BE_LOST_S for load in loads for at in load.answered_at)
    sent = sum(load.sent for load in loads)
    assert due > 100
    with running("serve", data_dir=folder) as server:
        counted = usage(server.port, key)["jobs.list"]
        assert due <= counted <= sent
        server.kill()
    with running("serve", data_dir=folder) as server:
        assert usage(server.port, key)["jobs.list"] == counted
        assert server.stop() == 0
    with running("serve", data_dir=folder) as server:
        assert usage(server.port, key)["jobs.list"] == counted
