"""TLS and passwords, whatever stands behind the address."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.support.tls_front import TlsFront
from tests.support.valkey import ValkeyProcess
from tests.support.valkey_groups import ValkeyCluster, Watched
from tests.valkey.nodes import Keys, nodes

PASSWORD = "open-sesame"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    """Who vouches for the servers, and the file that says so."""
    made = trustme.CA()
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    made.cert_pem.write_to_path(str(path))
    return made, path


@pytest.fixture
def front(authority: tuple[trustme.CA, Path]) -> Iterator[TlsFront]:
    """TLS for servers on loopback."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority[0].issue_cert("127.0.0.1").configure_cert(context)
    with TlsFront(context) as made:
        yield made


@pytest.fixture
def single(tmp_path: Path) -> Iterator[ValkeyProcess]:
    """One server with a password."""
    server = ValkeyProcess(tmp_path / "single", "--requirepass", PASSWORD)
    try:
        yield server
    finally:
        server.close()


async def decides(url: str) -> bool:
    """Whether a node decides in the store that is there."""
    keys = Keys()
    async with nodes(url, keys, 1) as [node]:
        texts = [keys.add(f"tenant-{number}") for number in range(8)]
        answers = [await node.ask(text) for text in texts]
        counts = [await node.shared_counts(text.decode()) for text in texts]
        assert await node.shared.raise_fences([text.decode() for text in texts])
        return answers == [None] * 8 and counts == [{"allowed": 1}] * 8


async def test_a_server(single: ValkeyProcess, front: TlsFront, authority: tuple[trustme.CA, Path]) -> None:
    """Both of the node's connections speak TLS."""
    port = front.port(single.port)
    assert await decides(f"valkeys://:{PASSWORD}@127.0.0.1:{port}?ca_file={authority[1]}")
    assert front.secured == 2


async def test_sentinels_without_a_password_and_servers_with_one(
    tmp_path: Path, front: TlsFront, authority: tuple[trustme.CA, Path]
) -> None:
    """As is usual; and all of it with TLS."""
    watched = Watched(tmp_path, password=PASSWORD, front=front.port)
    try:
        assert await decides(f"{watched.url.replace('valkey+', 'valkeys+')}?ca_file={authority[1]}")
        # Each sentinel is asked with the password first.
        assert front.secured == 3 * 2 + 2
    finally:
        watched.close()


async def test_a_cluster(tmp_path: Path, front: TlsFront, authority: tuple[trustme.CA, Path]) -> None:
    """Each master that it names is reached as its address says."""
    cluster = ValkeyCluster(tmp_path, password=PASSWORD, front=front.port)
    try:
        assert await decides(f"{cluster.url.replace('valkey+', 'valkeys+')}?ca_file={authority[1]}")
        assert front.secured >= 2 * 3
    finally:
        cluster.close()


@pytest.mark.parametrize(
    ("scheme", "password", "query", "said"),
    [
        ("valkeys", PASSWORD, "", "certificate verify failed"),
        ("valkeys", "wrong", "ca", "WRONGPASS"),
        ("valkey", "", "", "NOAUTH"),
    ],
)
async def test_who_cannot_prove_itself_is_not_the_store(
    single: ValkeyProcess,
    front: TlsFront,
    authority: tuple[trustme.CA, Path],
    caplog: pytest.LogCaptureFixture,
    scheme: str,
    password: str,
    query: str,
    said: str,
) -> None:
    """Neither a server with a certificate of a stranger nor a node without the password. ASVS 12.3.2."""
    port = front.port(single.port) if scheme == "valkeys" else single.port
    credentials = f":{password}@" if password else ""
    more = f"?ca_file={authority[1]}" if query else ""
    with caplog.at_level(logging.ERROR), pytest.raises(TimeoutError):
        async with nodes(f"{scheme}://{credentials}127.0.0.1:{port}{more}", Keys(), 1, ready_s=0.5):
            pass
    assert said in caplog.text
    assert "open-sesame" not in caplog.text
