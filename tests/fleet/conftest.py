"""Fleets of real servers on one PostgreSQL database and one Valkey, all of them in processes of their own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.processes import STOP_S, ServerProcess, start
from tests.fleet import plugins as inside
from tests.fleet import switched_off
from tests.support.valkey import ValkeyProcess
from tests.usage.world import Clock, World

from aitbc_server.db.engine import Database

SECRET_KEY = "one-secret-key-for-every-node-of-this-fleet"


Plugin = Callable[[], None]


class Fleet:
    """Nodes that are alike; ``variables`` is what they are started with, ``plugins`` is what is inside of them."""

    def __init__(
        self,
        folder: Path,
        variables: dict[str, str],
        valkey: ValkeyProcess,
        stack: ExitStack,
        plugins: Sequence[Plugin] = (),
    ) -> None:
        self.folder = folder
        self.variables = variables
        self.valkey = valkey
        self.nodes: list[ServerProcess] = []
        self.plugins = plugins
        self._stack = stack

    def add_node(self, *more: Plugin, **variables: str) -> ServerProcess:
        """Start another node, with its own folder, and more plugins than the others have."""
        return self.add_nodes(1, **inside.named(*self.plugins, *more), **variables)[0]

    def add_nodes(self, count: int, **variables: str) -> list[ServerProcess]:
        """Start other nodes side by side, each with its own folder."""
        added = [self._start(len(self.nodes) + number, variables) for number in range(count)]
        for node in added:
            node.wait_until_ready()
        self.nodes += added
        return added

    def start_again(self, node: ServerProcess) -> ServerProcess:
        """Start a node that ended once more: on its port, with its folder."""
        number = self.nodes.index(node)
        self.nodes[number] = again = self._start(number, {**node.variables, "AITBC_PORT": str(node.port)})
        again.url = node.url
        again.wait_until_ready()
        return again

    def stop(self) -> None:
        """SIGTERM to all at once; each ends well, within its time."""
        for node in self.nodes:
            node.process.terminate()
        assert [node.process.wait(STOP_S) for node in self.nodes] == [0] * len(self.nodes)

    def _start(self, number: int, variables: Mapping[str, str]) -> ServerProcess:
        node = start("serve", data_dir=self.folder / f"node{number}", variables=self.variables | dict(variables))
        self._stack.callback(_end, node)
        return node


def _end(node: ServerProcess) -> None:
    if node.process.poll() is None:
        node.process.terminate()
        try:
            node.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            node.kill()
            raise


StartFleet = Callable[..., Fleet]


@pytest.fixture
def start_fleet(tmp_path: Path, postgres_url: str, own_valkey: ValkeyProcess) -> Iterator[StartFleet]:
    """Start a fleet of so many nodes, with these plugins inside; it ends with the test."""
    variables = {
        "AITBC_DATABASE_URL": postgres_url.replace("+asyncpg", ""),
        "AITBC_VALKEY_URL": own_valkey.url,
        "AITBC_SECRET_KEY": SECRET_KEY,
    }
    with ExitStack() as stack:

        def start_nodes(nodes: int, *plugins: Plugin, **more: str) -> Fleet:
            inner = [*plugins, *switched_off.named()]
            fleet = Fleet(tmp_path, variables | inside.named(*inner) | more, own_valkey, stack, inner)
            fleet.add_nodes(nodes)
            return fleet

        yield start_nodes


@pytest.fixture
async def world(tmp_path: Path, postgres_url: str) -> AsyncIterator[World]:
    """Puts tenants and keys straight into the fleet's database, before anybody asks for them."""
    folder = tmp_path / "world"
    folder.mkdir()
    (folder / "secret.key").write_text(SECRET_KEY)
    (folder / "secret.key").chmod(0o600)
    database = Database(postgres_url)
    yield World(database, folder, Clock(time.time_ns() // 1000))
    await database.close()
