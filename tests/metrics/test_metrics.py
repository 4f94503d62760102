"""Metrics: on an address of their own, for the operator's monitoring and nobody else."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.processes import ServerProcess, running, start

_URL = re.compile(r"metrics are served on ([0-9.]+:\d+)")


@pytest.fixture
def measured(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server with metrics on any free port."""
    variables = {"AITBC_METRICS_ADDRESS": "127.0.0.1:0"}
    with running("serve", data_dir=tmp_path / "data", variables=variables) as server:
        yield server


def address(server: ServerProcess) -> str:
    """Where the server has its metrics."""
    found = _URL.search(server.text())
    assert found, server.text()
    return f"http://{found[1]}"


def samples(server: ServerProcess) -> dict[tuple[str, ...], float]:
    """Each number by its name and the values of its labels in order of their names."""
    answer = httpx2.get(f"{address(server)}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_decisions_are_counted_by_code_and_operation(measured: ServerProcess) -> None:
    """What is allowed and what is refused is counted to the unit, and no label tells whose it was. ASVS 16.2.5."""
    measured.create_tenant("acme", plan="free")
    key = measured.create_key("acme", "client")
    self_url = f"{measured.url}/v1/api-keys/self"
    for _ in range(70):
        httpx2.get(self_url, headers={"X-API-Key": key})
    httpx2.get(self_url)
    httpx2.get(self_url, headers={"X-API-Key": "nonsense"})
    seen = samples(measured)
    decisions = {labels[1:]: count for labels, count in seen.items() if labels[0] == "aitbc_decisions_total"}
    operation = next(operation for code, operation in decisions if code == "allowed")
    assert decisions == {
        ("allowed", operation): 60,
        ("rate_limit_exceeded", operation): 10,
        ("missing_api_key", operation): 1,
        ("invalid_api_key", operation): 1,
    }
    assert seen["aitbc_request_duration_seconds_count", operation] >= 1
    assert seen["aitbc_cached_keys",] == 1
    text = httpx2.get(f"{address(measured)}/metrics").text
    assert "acme" not in text
    assert key.split("_")[2] not in text
    assert "127.0.0.1" not in text


def test_what_waits_is_counted(measured: ServerProcess) -> None:
    """The queue's depth, changes that are not in effect and mails that are not sent are read from the database."""
    seen = samples(measured)
    assert {name: seen[name,] for name in ("aitbc_database_up", "aitbc_jobs_queued", "aitbc_mails_waiting")} == {
        "aitbc_database_up": 1,
        "aitbc_jobs_queued": 0,
        "aitbc_mails_waiting": 0,
    }
    assert ("aitbc_changes_unconfirmed",) in seen
    assert not any(labels[0] == "aitbc_store_state" for labels in seen)


def test_only_metrics_are_there(measured: ServerProcess) -> None:
    """The address serves nothing of the API, and the API's address no metrics. ASVS 13.4.5."""
    assert httpx2.get(f"{address(measured)}/v1/health").status_code == 404
    assert httpx2.post(f"{address(measured)}/metrics").status_code == 405
    assert httpx2.get(f"{measured.url}/metrics").status_code == 401


def test_a_crowd_and_nonsense_do_no_harm(measured: ServerProcess) -> None:
    """Connections beyond the bound are hung up on, those that say nothing useful too, and scrapes go on."""
    host, _, port = address(measured).removeprefix("http://").partition(":")
    crowd = [socket.create_connection((host, int(port))) for _ in range(20)]
    crowd[0].sendall(b"x" * 20_000)
    time.sleep(0.3)
    hung_up = set()
    for number, each in enumerate(crowd):
        each.settimeout(3 if number == 0 else 0.1)
        try:
            if each.recv(1) == b"":
                hung_up.add(number)
        except ConnectionResetError:
            hung_up.add(number)
        except TimeoutError:
            pass
        each.close()
    # Who sent nonsense may be gone before the last ones come, and its place is theirs.
    assert 0 in hung_up
    assert len(hung_up) >= 4
    deadline = time.monotonic() + 5
    while True:
        try:
            assert samples(measured)
            break
        except httpx2.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_taken_address_is_named(tmp_path: Path) -> None:
    """A server whose metrics cannot be served does not start, and says which setting to change."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = start("serve", data_dir=tmp_path / "data", variables={"AITBC_METRICS_ADDRESS": f"127.0.0.1:{port}"})
        assert server.process.wait(20) == 1
    assert f"metrics cannot be served on 127.0.0.1 port {port}" in server.text()
    assert "AITBC_METRICS_ADDRESS" in server.text()
