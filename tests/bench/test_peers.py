"""The peers: chosen by name, reported where they are missing, and doing what the page says of them.

Peers that are not installed here are left out: a test downloads nothing.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench.catalogue import GOAL_IDS, PEER_NAMES, wanted
from bench.common import cache, wrk
from bench.common.cache import MissingPeerError
from bench.common.machine import usable_cores
from bench.common.options import Options
from bench.common.processes import Server
from bench.common.side_by_side import prime
from bench.p1_check import PATH
from bench.peers import debian, exact_call, haproxy, nginx
from bench.seed import BENCH_LIMIT, seed
from bench.servers.aitbc_node import running_node, was_alone
from bench.servers.valkey import call, running_valkey

from aitbc import keyformat
from aitbc_server.gate import packing
from aitbc_server.valkey.connection import Address, connect

KEY = keyformat.build(*keyformat.generate("live"))
KNOWN = [(KEY, "tenant-1")]
CORE = max(usable_cores())


@pytest.fixture
def installed_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip where a peer would have to be downloaded."""

    def skip(*_: object) -> None:
        pytest.skip("this peer is not installed: `make bench` does that")

    monkeypatch.setattr(debian, "_unpack", skip)


def ids(*peers: str, only: list[str] | None = None) -> list[str]:
    """The goals that are measured with these peers."""
    return [goal.id for each in wanted(only, Options(peers=peers or None)) for goal in each.GOALS]


def test_all_goals_are_measured_by_default() -> None:
    """P1 to P10, each in its place."""
    assert ids() == list(GOAL_IDS)
    assert {goal.rstrip("abcd") for goal in ids()} == {f"P{number}" for number in range(1, 11)}


def test_some_peers_can_be_chosen() -> None:
    """Goals against other peers are left out, goals without a peer stay."""
    chosen = ids("slowapi")
    assert "P1" in chosen
    assert "P4a" in chosen
    assert not {"P2", "P3", "P3b", "P4b", "P4c", "P4d"} & set(chosen)
    assert ids("nginx", only=["P2", "P4a"]) == ["P2"]
    assert len(PEER_NAMES) == len(set(PEER_NAMES)) == 6


def test_a_peer_that_cannot_be_installed_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no Debian packages the peer is named as missing: no other program takes its place."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPeerError, match=r"nginx is taken from Debian's packages, and there is no apt-get here"):
        nginx.versions()
    assert list(tmp_path.iterdir()) == []


async def test_a_gateway_sends_what_the_script_understands(tmp_path: Path) -> None:
    """The message made for nginx is one request of the server's own script: taken, counted, refused when too late."""
    message = exact_call.message("tenant-1", KEY, BENCH_LIMIT)
    script = exact_call.script()
    with running_valkey(tmp_path, core=CORE) as store:
        connection = await connect(Address(port=store.port), timeout_s=5)
        try:
            in_time, too_late = int((time.time() + 5) * 1e6), int((time.time() - 5) * 1e6)
            await script.load(connection)
            answers = [
                packing.answers(await script.call(connection, [message.store_key], *message.at(deadline_us)))[1:]
                for deadline_us in (in_time, in_time, too_late)
            ]
        finally:
            connection.close()
    assert [answer[:2] for answer in answers[:2]] == [[1, BENCH_LIMIT - 1], [1, BENCH_LIMIT - 2]]
    assert answers[2] == []


def test_a_node_that_decides_without_its_store_is_found_out(tmp_path: Path) -> None:
    """While its Valkey stands still the node goes on by itself, and P3 must not take that for the store's figure."""
    (tmp_path / "valkey").mkdir()
    (one,) = seed(tmp_path / "data", 1)
    with (
        running_valkey(tmp_path / "valkey", core=CORE) as store,
        running_node(tmp_path / "data", store, core=CORE) as node,
    ):
        prime(node.port, [wrk.Request(PATH, one.key)] * 20)
        assert not was_alone(node)
        store.rest()
        try:
            prime(node.port, [wrk.Request(PATH, one.key)])
        finally:
            store.go_on()
        assert was_alone(node)


@contextmanager
def _nginx(variant: nginx.Variant, folder: Path) -> Iterator[Server]:
    if variant == "memory":
        with nginx.running_nginx(variant, KNOWN, folder / "nginx", core=CORE) as server:
            yield server
        return
    script = exact_call.script() if variant == "exact" else exact_call.gcra_script()
    message = exact_call.message("tenant-1", KEY, BENCH_LIMIT)
    known = [(KEY, *message.words())] if variant == "exact" else KNOWN
    store_folder = folder / "valkey"
    store_folder.mkdir()
    with running_valkey(store_folder, core=CORE) as store:
        call(store, "SCRIPT", "LOAD", script.text)
        with nginx.running_nginx(variant, known, folder / "nginx", core=CORE, store=store, script=script.sha) as server:
            yield server


@pytest.mark.usefixtures("installed_only")
@pytest.mark.parametrize("variant", ["memory", "gcra", "exact"])
def test_nginx_checks_keys_and_limits(variant: nginx.Variant, tmp_path: Path) -> None:
    """Every variant lets the right key pass, says what is left of its limit, and refuses a wrong key."""
    with _nginx(variant, tmp_path) as server:
        _check(server)


@pytest.mark.usefixtures("installed_only")
def test_haproxy_checks_keys_and_limits(tmp_path: Path) -> None:
    """So does HAProxy."""
    with haproxy.running_haproxy(KNOWN, tmp_path / "haproxy", core=CORE) as server:
        _check(server)


def _check(server: Server) -> None:
    answers = [_get(server, KEY) for _ in range(3)]
    assert [status for status, _ in answers] == [200, 200, 200]
    left = [int(headers["X-RateLimit-Remaining"]) for _, headers in answers]
    assert left == sorted(left, reverse=True)
    assert BENCH_LIMIT - 10 < left[-1] < BENCH_LIMIT
    assert {headers["X-RateLimit-Limit"] for _, headers in answers} == {str(BENCH_LIMIT)}
    assert _get(server, "a-wrong-key")[0] == 401


def _get(server: Server, key: str) -> tuple[int, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", "/check", headers={"X-API-Key": key})
        response = connection.getresponse()
        return response.status, response.headers
    finally:
        connection.close()
