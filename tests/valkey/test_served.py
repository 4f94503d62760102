"""Real nodes, in processes of their own, behind Sentinels and on a cluster."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from tests.e2e.processes import ServerProcess, admin, running
from tests.support.valkey_groups import ValkeyCluster, Watched, until

FULL = os.environ.get("AITBC_FULL") == "1"
SECRET_KEY = "one-secret-key-for-every-node-of-this-fleet"


@contextmanager
def node(folder: Path, url: str, database_url: str) -> Iterator[ServerProcess]:
    """One that serves."""
    variables = {
        "AITBC_DATABASE_URL": database_url.replace("+asyncpg", ""),
        "AITBC_VALKEY_URL": url,
        "AITBC_SECRET_KEY": SECRET_KEY,
    }
    migrated = admin(folder / "operator", "migrate", variables=variables)
    assert migrated.returncode == 0, migrated.stderr
    with running("serve", data_dir=folder / "node", variables=variables) as server:
        yield server


class Asking:
    """One client without a pause."""

    def __init__(self, server: ServerProcess, key: str) -> None:
        self.statuses: list[int] = []
        self._stopping = threading.Event()
        self._server, self._key = server, key
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def more(self, count: int) -> None:
        """Wait for so many more answers."""
        goal = len(self.statuses) + count
        until(lambda: len(self.statuses) >= goal or not self._thread.is_alive(), "answers")

    def _run(self) -> None:
        with httpx2.Client(base_url=self._server.url, headers={"X-API-Key": self._key}) as client:
            while not self._stopping.is_set():
                self.statuses.append(client.get("/v1/api-keys/self").status_code)


def test_no_client_sees_a_master_die_behind_sentinels(tmp_path: Path, postgres_url: str) -> None:
    """Not one answer but 200; a key that is revoked meanwhile stops at once. Goals A5 and A6."""
    watched = Watched(tmp_path / "valkey")
    try:
        with node(tmp_path, watched.url, postgres_url) as server:
            server.create_tenant("acme", plan="enterprise")
            manager, key = server.create_key("acme", "manager"), server.create_key("acme", "client")
            headers = {"X-API-Key": manager}
            made = httpx2.post(f"{server.url}/v1/api-keys", headers=headers, json={"name": "k"}).json()
            with Asking(server, key) as asking:
                asking.more(20)
                watched.master().kill()
                revoked = httpx2.post(f"{server.url}/v1/api-keys/{made['id']}/revoke", headers=headers)
                asked = httpx2.get(f"{server.url}/v1/api-keys/self", headers={"X-API-Key": made["key"]})
                until(watched.is_led, "a failover")
                until(lambda: "Valkey answers again" in server.text(), "the store is back")
                asking.more(20)
            assert set(asking.statuses) == {200}
            assert revoked.status_code == 202
            assert (asked.status_code, asked.json()["code"]) == (401, "revoked_api_key")
            again = httpx2.get(f"{server.url}/v1/api-keys/self", headers={"X-API-Key": made["key"]})
            assert again.status_code == 401
    finally:
        watched.close()


@pytest.mark.skipif(
    not FULL, reason="tests/valkey/test_cluster.py asks the same of nodes in this process: AITBC_FULL=1"
)
def test_no_client_sees_a_master_of_a_cluster_die(tmp_path: Path, postgres_url: str) -> None:
    """Neither those of its slots nor others."""
    cluster = ValkeyCluster(tmp_path / "valkey")
    try:
        with node(tmp_path, cluster.url, postgres_url) as server:
            # Slots of three masters, of which the first dies.
            keys = []
            for name in ("acme", "beta", "gamma", "delta"):
                server.create_tenant(name, plan="enterprise")
                keys.append(server.create_key(name, "client"))
            askings = [Asking(server, key) for key in keys]
            for each in askings:
                each.__enter__()
            for each in askings:
                each.more(10)
            dies = cluster.first
            dies.kill()
            until(lambda: cluster.first is not dies, "a failover")
            for each in askings:
                each.more(20)
            for each in askings:
                each.__exit__()
            assert {status for each in askings for status in each.statuses} == {200}
    finally:
        cluster.close()
