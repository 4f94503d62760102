"""Groups of servers, made once for the tests of a file, and whole again for each of them; and one that is not there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest
from tests.support.valkey import free_port
from tests.support.valkey_groups import ValkeyCluster, Watched
from tests.valkey.nodes import anybodys

from aitbc_server.gate.store_cluster import ClusterStore
from aitbc_server.valkey.connection import Address
from aitbc_server.valkey.urls import Target


@pytest.fixture(scope="module")
def cluster_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """Three masters and a replica of the first."""
    with closing(ValkeyCluster(tmp_path_factory.mktemp("cluster"))) as made:
        yield made


@pytest.fixture
def cluster(cluster_servers: ValkeyCluster) -> ValkeyCluster:
    """The same, whole."""
    cluster_servers.mend()
    return cluster_servers


@pytest.fixture(scope="module")
def watched_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A master, a replica and three sentinels."""
    with closing(Watched(tmp_path_factory.mktemp("watched"))) as made:
        yield made


@pytest.fixture
def watched(watched_servers: Watched) -> Watched:
    """The same, with a master that has its replica."""
    watched_servers.mend()
    return watched_servers


@pytest.fixture
async def nowhere() -> AsyncIterator[ClusterStore]:
    """The store of a cluster of which no server answers."""
    store = ClusterStore(Target("cluster", (Address(port=free_port()),)), lambda _whose: None, anybodys)
    await store.start()
    yield store
    await store.stop()
