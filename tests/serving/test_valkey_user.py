"""The user that the documentation makes may do everything that nodes do, and nothing else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.gate.factories import tenant
from tests.support.valkey import ValkeyProcess, free_port

from aitbc_server.fleet import SharedStore
from aitbc_server.gate.cache import CredentialCache
from aitbc_server.gate.records import limit_set
from aitbc_server.gate.shared_store import Question, Stale
from aitbc_server.gate.store import ALLOWED, Taken
from aitbc_server.serving import store_checks
from aitbc_server.serving.errors import StartError
from aitbc_server.serving.findings import Level
from aitbc_server.valkey.connection import RefusedError, connect

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-to/keep-valkey-available.md"
[RULES] = re.findall(r"^user aitbc (on >password .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
COMMANDS = re.findall(r"\+(\S+)", RULES)
LUA = ROOT / "src/aitbc_server/gate/lua"
INSTALLATION = "0123456789abcdef"
LIMITS = limit_set(tenant(limit=1_000_000), "kid", 1_000_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyProcess]:
    """A cluster of one server, which knows every command."""
    process = ValkeyProcess(
        tmp_path_factory.mktemp("valkey"), "--cluster-enabled", "yes", "--cluster-port", str(free_port())
    )
    yield process
    process.close()


@asynccontextmanager
async def user(server: ValkeyProcess, rules: str) -> AsyncIterator[str]:
    """The server's address with a user that has these rights."""
    connection = await connect(server.address, timeout_s=2)
    try:
        await connection.call("FLUSHALL")
        if b"cluster_slots_assigned:0" in await connection.call("CLUSTER", "INFO"):
            await connection.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        async with asyncio.timeout(20):
            # The server rings no bell when it is ready.
            while b"cluster_state:ok" not in await connection.call("CLUSTER", "INFO"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await connection.call("ACL", "SETUSER", "aitbc", "reset", *rules.split())
        yield f"valkey+cluster://aitbc:password@127.0.0.1:{server.port}"
    finally:
        connection.close()
        await connection.lost


async def an_installation() -> str:
    return INSTALLATION


async def test_it_may_do_all_that_nodes_do(server: ValkeyProcess) -> None:
    """Limits, changes, counts and the list of tenants, in earnest, and the doctor is content."""
    async with user(server, RULES) as url:
        await store_checks.ensure_fit(url)
        assert (await store_checks.examine_owner(url, INSTALLATION)).detail.startswith("nobody yet")
        await store_checks.ensure_ours(url, INSTALLATION)
        assert (await store_checks.examine_owner(url, INSTALLATION)).level is Level.OK
        [version] = [each async for each in store_checks.examine(url) if each.what == "Valkey"]
        assert version.level is not Level.FAIL
        shared = SharedStore(url, CredentialCache(), an_installation)
        async with shared.running():
            assert shared.state == "up"
            assert await shared.raise_fences(["alice"])
            tokens = {"alice": ""}
            for number in range(60):
                # Enough for a window to be sealed in pieces.
                taken = await shared.store.take(
                    Question("alice", LIMITS, 1, ("alice", "live", "k"), f"{number}", ALLOWED, tokens)
                )
                if isinstance(taken, Stale):
                    tokens.update(taken.tokens)
                else:
                    assert isinstance(taken, Taken)
            assert len(await shared.store.look("alice", LIMITS)) == 2
            counts = await shared.store.drain({"alice": ()})
            assert await shared.store.drain(counts) == {"alice": []}
            assert [group async for group in shared.store.tenants() if "alice" in group]


async def test_it_may_do_nothing_else(server: ValkeyProcess) -> None:
    """What others keep there is out of its reach, and so is the server's configuration."""
    async with user(server, RULES):
        connection = await connect(server.address._replace(username="aitbc", password="password"), timeout_s=2)
        for call in (("GET", "other"), ("KEYS", "*"), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("ACL", "LIST")):
            with pytest.raises(RefusedError, match="NOPERM"):
                await connection.call(*call)
        connection.close()
        await connection.lost


# A cluster has one database, so that SELECT is not asked for there.
@pytest.mark.parametrize("missing", [each for each in COMMANDS if each != "select"])
async def test_a_right_that_is_missing_is_found_before_the_start(server: ValkeyProcess, missing: str) -> None:
    """Each one: without it a node would go on alone in the middle of the day. The message names the page."""
    async with user(server, RULES.replace(f" +{missing} ", " ").removesuffix(f" +{missing}")) as url:
        with pytest.raises(StartError, match="refuses this server: NOPERM") as refused:
            await store_checks.ensure_fit(url)
        assert (refused.value.hint or "").split(":")[1].split()[0] == str(PAGE.relative_to(ROOT))


def test_the_scripts_call_nothing_that_is_not_tried() -> None:
    """A command that a script begins to call is tried by the doctor, and is in the line of the documentation."""
    called = {path.name: set(re.findall(r"call\('([A-Z]+)'", path.read_text())) for path in LUA.glob("*.lua")}
    tried = called.pop("permitted.lua")
    assert set().union(*called.values()) == tried
    assert {each.lower() for each in tried} <= set(COMMANDS)
