"""Several processes on one port: as one server, whoever of them dies, and none of them outlives their parent."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from tests.e2e.processes import STOP_S, ServerProcess, admin, running, start
from tests.support.postgres import PostgresServer, run_sql
from tests.support.valkey import ValkeyProcess

from aitbc_server.serving.folder import holder

WORKERS = 2


@pytest.fixture(scope="module")
def variables(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a server with workers is started with; database and store are the module's."""
    name = f"w{time.monotonic_ns()}"
    run_sql(postgres.get_uri(), f"CREATE DATABASE {name};")
    folder = tmp_path_factory.mktemp("workers")
    valkey = ValkeyProcess(folder / "valkey")
    settings = {
        "AITBC_DATABASE_URL": postgres.get_uri(name),
        "AITBC_VALKEY_URL": valkey.url,
        "AITBC_SECRET_KEY": "one-secret-key-for-every-worker-of-this-server",
    }
    assert admin(folder / "operator", "migrate", variables=settings).returncode == 0
    try:
        yield settings | {"AITBC_WORKERS": str(WORKERS), "AITBC_METRICS_ADDRESS": "127.0.0.1:0"}
    finally:
        valkey.close()
        run_sql(postgres.get_uri(), f"DROP DATABASE {name} WITH (FORCE);")


@pytest.fixture
def server(variables: dict[str, str], tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of two workers."""
    with running("serve", data_dir=tmp_path / "data", variables=variables) as process:
        yield process


def pids(server: ServerProcess) -> list[int]:
    """The workers' process ids, in order of their numbers."""
    return [int(holder(folder)[0] or 0) for folder in sorted((server.data_dir / "workers").iterdir())]


def ask(server: ServerProcess, key: str) -> httpx2.Response:
    """One request on a connection of its own."""
    return httpx2.get(f"{server.url}/v1/api-keys/self", headers={"X-API-Key": key}, timeout=10)


def is_alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until_free(workers: list[int], port: int) -> None:
    """Return when the workers are gone and the port can be had."""
    deadline = time.monotonic() + 5
    while True:
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                again.bind(("127.0.0.1", port))
            except OSError:
                # Of a process that ends, some threads may be there a little longer than the first.
                assert time.monotonic() < deadline
            else:
                assert not any(map(is_alive, workers))
                return
        time.sleep(0.02)


def test_workers_are_one_server(server: ServerProcess) -> None:
    """Both answer, say so once, and a limit holds over both. One that dies is started anew. SIGTERM ends all in 5 s."""
    server.create_tenant("acme", plan="free")
    key = server.create_key("acme", "client")
    # Connections that are open at once spread over those who are free.
    with httpx2.Client(base_url=server.url, headers={"X-API-Key": key}) as client:
        answers = [client.get("/v1/api-keys/self")] + [ask(server, key) for _ in range(60)]
    assert sorted(each.status_code for each in answers) == [200] * 60 + [429]
    assert server.text().count("is ready on") == 1
    assert f"{server.process.pid} {server.url}" in (server.data_dir / "server.lock").read_text()
    # Whoever would not share with them is kept from the database, and the doctor finds them.
    alone = dict(server.variables) | {"AITBC_VALKEY_URL": "", "AITBC_WORKERS": ""}
    rival = start("serve", data_dir=server.data_dir.parent / "rival", variables=alone)
    assert rival.process.wait(20) == 1
    assert "another server is running on this PostgreSQL database" in rival.text()
    examined = admin(server.data_dir, "doctor", variables=server.variables)
    assert f"process {server.process.pid} is ready on {server.url}" in " ".join(examined.stdout.split())
    first, second = pids(server)
    assert server.process.pid not in (first, second)
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 20
    statuses = set()
    while pids(server)[0] in {0, first} or not holder(server.data_dir / "workers" / "1")[1]:
        assert time.monotonic() < deadline, server.text()
        statuses.add(httpx2.get(f"{server.url}/v1/health").status_code)
    assert statuses <= {200}
    assert "worker 1 was ended by SIGKILL and is started anew" in server.text()
    # The other one alone answered meanwhile; now the new one has to.
    os.kill(second, signal.SIGSTOP)
    try:
        assert httpx2.get(f"{server.url}/v1/health", timeout=5).status_code == 200
    finally:
        os.kill(second, signal.SIGCONT)
    # A service manager tells every process, and so does Ctrl-C, beside the parent: they end in order all the same.
    workers = pids(server)
    server.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while server.process.poll() is None:
        assert time.monotonic() < deadline, server.text()
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        time.sleep(0.001)
    assert server.process.returncode == 0, server.text()
    assert not any(map(is_alive, workers))
    assert server.text().count('"stopped"') == WORKERS


def test_a_stop_in_which_a_worker_dies_is_none_in_order(server: ServerProcess) -> None:
    """The parent waits for the others, says who died of what, and ends with 1."""
    worker = pids(server)[1]
    os.kill(worker, signal.SIGSTOP)
    server.process.send_signal(signal.SIGTERM)
    os.kill(worker, signal.SIGKILL)
    assert server.process.wait(STOP_S) == 1
    assert "worker 2 was ended by SIGKILL" in server.text()
    assert server.text().count('"stopped"') == WORKERS - 1


def test_a_stop_before_it_is_ready_is_one_in_order(variables: dict[str, str], tmp_path: Path) -> None:
    """A worker that was still starting had nothing to put in order."""
    starting = start("serve", data_dir=tmp_path / "data", variables=variables)
    deadline = time.monotonic() + 20
    while not (tmp_path / "data" / "workers" / str(WORKERS)).exists():
        assert time.monotonic() < deadline, starting.text()
        time.sleep(0.001)
    starting.process.send_signal(signal.SIGTERM)
    assert starting.process.wait(STOP_S) == 0, starting.text()
    assert "was ended by" not in starting.text()


def test_a_signal_without_a_name_is_told_by_its_number(server: ServerProcess) -> None:
    """The parent goes on after whatever a worker was ended by."""
    first = pids(server)[0]
    os.kill(first, signal.SIGRTMIN + 6)
    deadline = time.monotonic() + 20
    while pids(server)[0] in {0, first}:
        assert server.process.poll() is None, server.text()
        assert time.monotonic() < deadline, server.text()
        time.sleep(0.05)
    assert f"worker 1 was ended by signal {signal.SIGRTMIN + 6} and is started anew" in server.text()


def test_a_killed_parent_takes_its_workers_along(variables: dict[str, str], tmp_path: Path) -> None:
    """After SIGKILL nobody holds the port or the folder, and what workers counted by themselves is not lost.

    That is so also when none of them is ever started again: whoever starts next stores it.
    """
    folder = tmp_path / "data"
    away = variables | {"AITBC_VALKEY_URL": "valkey://127.0.0.1:1"}
    for command in (("create-tenant", "--id", "globex", "--plan", "free"), ("create-key", "--tenant", "globex")):
        made = admin(folder, "--output", "json", *command, variables=variables)
    key = json.loads(made.stdout)["key"]
    with running("serve", data_dir=folder, variables=away) as server:
        answers = [ask(server, key).status_code for _ in range(20)]
        time.sleep(0.3)
        workers, port = pids(server), server.port
        server.kill()
    assert answers == [200] * 20
    until_free(workers, port)
    with running("serve", data_dir=folder, variables=variables | {"AITBC_WORKERS": "1"}) as alone:
        manager = alone.create_key("globex", "manager")
        usage = httpx2.get(f"{alone.url}/v1/usage", headers={"X-API-Key": manager}).json()
        assert usage["totals"]["allowed"] >= 20
        assert "usage counts of an earlier worker are stored" in alone.text()


def test_a_fault_of_the_start_is_said_once(variables: dict[str, str], tmp_path: Path) -> None:
    """Workers need what they share; what would stop every one of them is one line; a worker's own fault ends all."""
    alone = {name: value for name, value in variables.items() if name != "AITBC_VALKEY_URL"}
    refused = start("serve", data_dir=tmp_path / "data", variables=alone)
    assert refused.process.wait(20) == 2
    assert "AITBC_VALKEY_URL beside it, in which workers share limits and data; got 2" in refused.text()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        metrics = {"AITBC_METRICS_ADDRESS": f"127.0.0.1:{taken.getsockname()[1] - 1}"}
        broken = start("serve", data_dir=tmp_path / "data", variables=variables | metrics)
        assert broken.process.wait(20) == 1
    assert "AITBC_METRICS_ADDRESS" in broken.text()
    assert "was ended by" not in broken.text()
