"""Valkey as the start and the doctor see it: what would break a promise is found, with what to do."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.e2e.processes import admin, start
from tests.support.valkey import ValkeyProcess, free_port
from tests.support.valkey_groups import ask

from aitbc_server.fleet import SharedStore
from aitbc_server.gate.cache import CredentialCache
from aitbc_server.serving import store_checks
from aitbc_server.serving.errors import StartError
from aitbc_server.serving.findings import Finding, Level
from aitbc_server.valkey.connection import connect


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyProcess]:
    """One that each test sets up as it needs."""
    process = ValkeyProcess(tmp_path_factory.mktemp("valkey"))
    yield process
    process.close()


@asynccontextmanager
async def configured(server: ValkeyProcess, **options: str) -> AsyncIterator[None]:
    """The server with these options, which it had not before."""
    connection = await connect(server.address, timeout_s=2)
    before = {}
    for name, value in options.items():
        _, old = await connection.call("CONFIG", "GET", name.replace("_", "-"))
        before[name] = old.decode()
        await connection.call("CONFIG", "SET", name.replace("_", "-"), value)
    try:
        yield
    finally:
        for name, value in before.items():
            await connection.call("CONFIG", "SET", name.replace("_", "-"), value)
        connection.close()


async def an_installation() -> str:
    """The id of the one that all is looked at for."""
    return "0123456789abcdef"


async def findings(url: str) -> dict[str, Finding]:
    """What is found, by what was looked at."""
    return {finding.what: finding async for finding in store_checks.examine(url)}


async def test_one_that_is_set_up_well_is_well(server: ValkeyProcess) -> None:
    """Everything is looked at; with an append-only file nothing is amiss."""
    async with configured(server, appendonly="yes"):
        found = await findings(server.url)
    assert list(found) == ["Valkey", "Valkey memory", "Valkey on disk", "Valkey replicas", "Valkey clock"]
    assert {each.level for each in found.values()} == {Level.OK}
    assert found["Valkey"].detail.startswith("Valkey ")
    assert "answers in" in found["Valkey"].detail
    await store_checks.ensure_fit(server.url)


async def test_one_that_keeps_nothing_is_a_warning(server: ValkeyProcess) -> None:
    """Promises hold without a file, so the server starts; that limits begin anew after a restart is said."""
    found = await findings(server.url)
    assert found["Valkey on disk"].level is Level.WARN
    assert found["Valkey on disk"].remedy == "appendonly yes, appendfsync everysec"
    await store_checks.ensure_fit(server.url)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_one_that_drops_keys_is_refused(server: ValkeyProcess, policy: str) -> None:
    """A store that may evict would forget limits and revocations: refused at the start, and by the doctor."""
    async with configured(server, maxmemory_policy=policy):
        found = await findings(server.url)
        assert found["Valkey memory"].level is Level.FAIL
        assert "noeviction" in (found["Valkey memory"].remedy or "")
        with pytest.raises(StartError, match=policy):
            await store_checks.ensure_fit(server.url)


async def test_one_that_is_nearly_full(server: ValkeyProcess) -> None:
    """A store that will soon take nothing more is a warning."""
    async with configured(server, maxmemory="1000000"):
        found = await findings(server.url)
    assert found["Valkey memory"].level is Level.WARN


async def test_a_password_that_is_missing_or_wrong(server: ValkeyProcess) -> None:
    """Retrying would never help: the start is refused, and the hint shows where a password goes."""
    async with configured(server, requirepass="right"):
        for url in (server.url, server.url.replace("//", "//:wrong@")):
            with pytest.raises(StartError, match="refuses this server") as refused:
                await store_checks.ensure_fit(url)
            assert "AITBC_VALKEY_URL has the" in (refused.value.hint or "")
            assert (await findings(url))["Valkey"].level is Level.FAIL
        assert (await findings(server.url.replace("//", "//:right@")))["Valkey"].level is Level.OK


async def test_one_that_is_away_does_not_hold_up_the_start(server: ValkeyProcess) -> None:
    """Nodes start without it and keep limits by themselves; the doctor says that it does not answer."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"valkey://127.0.0.1:{nobody.getsockname()[1]}"
        await store_checks.ensure_fit(url)
        found = await findings(url)
    assert (found["Valkey"].level, list(found)) == (Level.FAIL, ["Valkey"])
    server.hang()
    began_s = time.monotonic()
    try:
        assert (await findings(server.url))["Valkey"].level is Level.FAIL
    finally:
        server.go_on()
    assert time.monotonic() - began_s < 4


async def test_replicas(server: ValkeyProcess, tmp_path: Path) -> None:
    """A replica is named as such, and a primary that would go on without any is a warning."""
    replica = ValkeyProcess(
        tmp_path / "replica", "--replicaof", f"127.0.0.1 {server.port}", "--repl-diskless-sync-delay", "0"
    )
    try:
        async with configured(server, repl_diskless_sync_delay="0"):
            deadline_s = time.monotonic() + 10
            while (found := await findings(server.url))["Valkey replicas"].level is Level.OK:
                assert time.monotonic() < deadline_s
            while "lag" in (found := await findings(server.url))["Valkey replicas"].detail:
                assert time.monotonic() < deadline_s
            assert "min-replicas-to-write" in (found["Valkey replicas"].remedy or "")
            assert (await findings(replica.url))["Valkey replicas"].level is Level.FAIL
            async with configured(server, min_replicas_to_write="1"):
                assert (await findings(server.url))["Valkey replicas"].level is Level.OK
    finally:
        replica.close()


async def test_a_newcomer_reads_it(server: ValkeyProcess, tmp_path: Path) -> None:
    """`serve` ends with one clear line and what to do, and `admin doctor` ends with 1."""
    variables = {"AITBC_VALKEY_URL": server.url}
    async with configured(server, maxmemory_policy="allkeys-lru"):
        refused = start("serve", data_dir=tmp_path / "data", variables=variables)
        assert refused.process.wait(20) == 1
        assert "maxmemory-policy is allkeys-lru" in refused.text()
        assert "CONFIG SET maxmemory-policy noeviction" in refused.text()
        ran = admin(tmp_path / "data", "doctor", variables=variables)
    assert ran.returncode == 1
    assert "allkeys-lru" in ran.stdout


async def test_a_server_that_is_set_up_wrongly_later_is_not_relied_on(server: ValkeyProcess) -> None:
    """A server that a node meets after its start is looked at too: limits and fences must not be dropped there."""
    shared = SharedStore(server.url, CredentialCache(), an_installation)
    async with configured(server, maxmemory_policy="allkeys-lru"), shared.running():
        assert shared.state == "away"
    async with shared.running():
        assert shared.state == "up"


async def test_masters_are_found_behind_sentinels(server: ValkeyProcess, tmp_path: Path) -> None:
    """The doctor looks at the master that a sentinel names; where none of them knows one, it says so."""
    port = free_port()
    configuration = tmp_path / "sentinel.conf"
    lines = [f"port {port}", "bind 127.0.0.1", f"dir {tmp_path}", f"sentinel monitor store 127.0.0.1 {server.port} 1"]
    configuration.write_text("\n".join([*lines, f"logfile {tmp_path}/valkey.log", ""]))
    sentinel = ValkeyProcess(tmp_path, port=port, configuration=configuration)
    try:
        url = f"valkey+sentinel://127.0.0.1:{port}/store"
        found = await findings(url)
        assert found["Valkey"].level is Level.OK
        assert f":{server.port} answers" in found["Valkey"].detail
        await store_checks.ensure_fit(url)
        nobody = await findings(url.replace("/store", "/other"))
        assert (nobody["Valkey"].level, list(nobody)) == (Level.FAIL, ["Valkey"])
        assert "no sentinel knows a master named other" in nobody["Valkey"].detail
    finally:
        sentinel.close()


async def test_the_masters_of_a_cluster_are_looked_at(tmp_path: Path) -> None:
    """A slot without a server is a fault: its tenants' limits are nowhere. A master that may drop keys is refused."""
    cluster = ValkeyProcess(tmp_path / "cluster", "--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    url = cluster.url.replace("valkey:", "valkey+cluster:")
    try:
        ask(cluster, "CLUSTER", "ADDSLOTSRANGE", 0, 16382)
        assert "1 of the cluster's 16384 slots have no server" in (await findings(url))["Valkey"].detail
        ask(cluster, "CLUSTER", "ADDSLOTS", 16383)
        found = await findings(url)
        assert found["Valkey"].level is Level.OK
        assert found["Valkey cluster"].remedy == "cluster-require-full-coverage no, on every server"
        ask(cluster, "CONFIG", "SET", "cluster-require-full-coverage", "no")
        assert (await findings(url))["Valkey cluster"].level is Level.OK
        # Hosted ones forbid to ask, and so does the line that makes a user for nodes.
        ask(cluster, "ACL", "SETUSER", "default", "-config")
        forbidden = (await findings(url))["Valkey cluster"]
        assert (forbidden.level, "may not ask" in forbidden.detail) == (Level.OK, True)
        ask(cluster, "ACL", "SETUSER", "default", "+config")
        await store_checks.ensure_fit(url)
        ask(cluster, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        with pytest.raises(StartError, match="allkeys-lru"):
            await store_checks.ensure_fit(url)
    finally:
        cluster.close()
