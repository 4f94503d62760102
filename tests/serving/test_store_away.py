"""A node that loses Valkey says so where an operator looks, once, and says when it has it back."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from tests.e2e.processes import ServerProcess, running
from tests.metrics.test_metrics import samples
from tests.support.valkey import ValkeyProcess

WHOLE = {"status": "ok", "details": {"database": "up", "store": "up"}}


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyProcess]:
    """A store that the test may break."""
    server = ValkeyProcess(tmp_path / "valkey")
    yield server
    server.close()


def ready(node: ServerProcess) -> httpx2.Response:
    """What a load balancer reads."""
    return httpx2.get(f"{node.url}/health/ready")


def until(node: ServerProcess, state: str, key: str) -> None:
    """Ask, as clients do, until the node says that its store is so."""
    deadline = time.monotonic() + 10
    while ready(node).json().get("details", {}).get("store") != state:
        assert time.monotonic() < deadline, ready(node).text
        httpx2.get(f"{node.url}/v1/api-keys/self", headers={"X-API-Key": key})


def state(node: ServerProcess) -> dict[str, float]:
    """What monitoring reads."""
    return {labels[1]: count for labels, count in samples(node).items() if labels[0] == "aitbc_store_state"}


def test_a_store_that_is_away_is_seen_and_heard(valkey: ValkeyProcess, tmp_path: Path) -> None:
    """Details of the health, a metric and a line tell of it; the node stays ready, answers, and recovers by itself."""
    variables = {"AITBC_VALKEY_URL": valkey.url, "AITBC_METRICS_ADDRESS": "127.0.0.1:0"}
    with running("serve", data_dir=tmp_path / "data", variables=variables) as node:
        node.create_tenant("acme", plan="pro")
        key = node.create_key("acme", "client")
        assert ready(node).json() == WHOLE
        assert state(node) == {"up": 1, "hung": 0, "away": 0}
        for break_it, mend_it, broken in ((valkey.kill, valkey.start, "away"), (valkey.hang, valkey.go_on, "hung")):
            before = len(node.text())
            break_it()
            until(node, broken, key)
            assert ready(node).status_code == 200
            assert ready(node).json()["status"] == "degraded"
            assert state(node)[broken] == 1
            assert httpx2.get(f"{node.url}/v1/jobs", headers={"X-API-Key": key}).status_code == 200
            time.sleep(0.5)
            told = [line for line in node.text()[before:].splitlines() if "Valkey" in line and '"error"' in line]
            assert len(told) == 1, told
            assert "limits are kept by this node alone" in told[0]
            mend_it()
            until(node, "up", key)
            assert "answers again" in node.text()[before:]
        seen = samples(node)
        assert seen["aitbc_decisions_alone_total",] >= 2
        assert seen["aitbc_keys_read_total",] >= 1
        assert ("aitbc_usage_rows_drained_total",) in seen


def test_a_node_that_stops_while_its_store_hangs_counts_what_it_gave_up(valkey: ValkeyProcess, tmp_path: Path) -> None:
    """Whether the store counted it is known only when its connection is closed, and usage is stored after that."""
    data = tmp_path / "data"
    with running("serve", data_dir=data, variables={"AITBC_VALKEY_URL": valkey.url}) as node:
        node.create_tenant("acme", plan="pro")
        headers = {"X-API-Key": node.create_key("acme", "client")}
        assert httpx2.get(f"{node.url}/v1/api-keys/self", headers=headers).status_code == 200
        valkey.hang()
        assert httpx2.get(f"{node.url}/v1/jobs", headers=headers).status_code == 200
        assert node.stop() == 0
        valkey.go_on()
    with closing(sqlite3.connect(data / "aitbc.db")) as database:
        counts = database.execute("SELECT operation, count FROM usage_minutes WHERE outcome = 'allowed'").fetchall()
    assert ("jobs.list", 1) in counts


def test_a_node_that_may_not_go_on_alone_is_not_ready(valkey: ValkeyProcess, tmp_path: Path) -> None:
    """With AITBC_ON_STORE_FAILURE=deny, no load balancer sends requests that would all be refused."""
    variables = {"AITBC_VALKEY_URL": valkey.url, "AITBC_ON_STORE_FAILURE": "deny"}
    with running("serve", data_dir=tmp_path / "data", variables=variables) as node:
        assert ready(node).json() == WHOLE
        valkey.kill()
        deadline = time.monotonic() + 5
        while (answer := ready(node)).status_code == 200:
            assert time.monotonic() < deadline
        assert "AITBC_ON_STORE_FAILURE is deny" in answer.json()["detail"]


def test_a_server_without_a_store_says_nothing_of_one(tmp_path: Path) -> None:
    """One process alone has a database, and that is up."""
    with running("serve", data_dir=tmp_path / "data") as node:
        assert ready(node).json() == {"status": "ok", "details": {"database": "up"}}
