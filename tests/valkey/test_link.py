"""The two connections to a server, where what stands between forgets one of them without a word."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop
from tests.support.valkey import ValkeyProcess
from tests.valkey.nodes import anybodys, until

from aitbc_server.gate.shard import Shard
from aitbc_server.gate.store import StoreUnavailableError
from aitbc_server.valkey.connection import Address, Connection, connect
from aitbc_server.valkey.link import Link

_READ_BYTES = 65_536


class Firewall:
    """Passes on what comes, to ``port``, but for the connections that it has forgotten."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = Address()
        self.passages: list[asyncio.Event] = []
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listens until the block is left."""
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.address = Address(port=server.sockets[0].getsockname()[1])
        try:
            yield
        finally:
            server.close()
            self.drop_all()
            await asyncio.sleep(0.05)

    def drop_all(self) -> None:
        """Ends every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passes = asyncio.Event()
        passes.set()
        self.passages.append(passes)
        with suppress(OSError):
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.port)
            self._writers += [writer, to_writer]
            await asyncio.gather(
                self._copy(reader, to_writer, passes), self._copy(to_reader, writer, passes), return_exceptions=True
            )

    @staticmethod
    async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, passes: asyncio.Event) -> None:
        while data := await source.read(_READ_BYTES):
            if passes.is_set():
                target.write(data)
        target.transport.abort()


@pytest.fixture
async def firewall(own_valkey: ValkeyProcess) -> AsyncIterator[Firewall]:
    """What stands before it."""
    made = Firewall(own_valkey.port)
    async with made.open():
        yield made


@pytest.fixture
async def shard(firewall: Firewall) -> AsyncIterator[Shard]:
    """A node's way through it."""

    async def find() -> Address:
        return firewall.address

    made = Shard(find, lambda: None, ensure_ours=anybodys)
    assert await made.start()
    yield made
    await made.stop()


async def test_a_connection_for_changes_that_was_forgotten_is_made_anew(firewall: Firewall, shard: Shard) -> None:
    """One change is late, the next is not, and requests keep their connection. ASVS 8.3.2."""
    assert await shard.store.raise_fences(["alice"])
    requests, changes = shard.connection, shard._link.aside
    firewall.passages[1].clear()
    with pytest.raises(StoreUnavailableError):
        await shard.store.raise_fences(["alice"])
    await until(lambda: shard._link.aside not in {None, changes})
    assert await shard.store.raise_fences(["alice"])
    assert shard.connection is requests
    assert shard.state == "up"


async def test_both_connections_lead_to_the_same_server(firewall: Firewall, shard: Shard, tmp_path: Path) -> None:
    """A change that went elsewhere than requests would be in effect nowhere: then the other is left as well."""
    other = ValkeyProcess(tmp_path / "other")
    try:
        requests = shard.connection
        firewall.port = other.port
        assert shard._link.aside is not None
        shard._link.aside.close()
        await until(lambda: shard.connection is not None and shard.connection is not requests)
        assert await shard.store.raise_fences(["alice"])
        assert shard.connection is not None
        assert await shard.connection.call("EXISTS", "aitbc:1:{alice}") == 1
    finally:
        other.close()


async def test_an_address_that_goes_over_between_the_two_is_tried_again(
    valkey: ValkeyProcess, own_valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else changes would be made at one server, and requests be decided at the other."""
    asked = iter([own_valkey.address])
    greeted: list[Connection] = []

    async def find() -> Address:
        return own_valkey.address

    async def greet(connection: Connection) -> None:
        greeted.append(connection)

    async def connecting(_: Address, *, timeout_s: float) -> Connection:
        return await connect(next(asked, valkey.address), timeout_s=timeout_s)

    monkeypatch.setattr("aitbc_server.valkey.link.connect", connecting)
    way = Link(find, greet)
    try:
        assert not await way.start()
        await until(lambda: way.connection is not None)
        assert greeted == [way.connection]
    finally:
        await way.stop()


async def test_a_server_that_has_become_a_replica_is_left(firewall: Firewall, shard: Shard) -> None:
    """Though nobody asked for anything on the connection of requests."""
    assert shard.connection is not None
    await shard.connection.call("REPLICAOF", "127.0.0.1", 1)
    with pytest.raises(StoreUnavailableError, match="READONLY"):
        await shard.store.raise_fences(["alice"])
    await until(lambda: shard.state == "away")


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_idle_connection_is_asked_about(
    own_valkey: ValkeyProcess, new_loop: type[asyncio.AbstractEventLoop]
) -> None:
    """So that no firewall forgets it, and one that was forgotten is noticed within half a minute."""

    async def look() -> list[int]:
        connection = await connect(own_valkey.address, timeout_s=5)
        assert connection._transport is not None
        ends = connection._transport.get_extra_info("socket")
        found = [
            ends.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            *(ends.getsockopt(socket.IPPROTO_TCP, each) for each in (socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)),
        ]
        connection.close()
        await connection.lost
        return found

    loop = new_loop()
    try:
        alive, every_s, times = loop.run_until_complete(look())
    finally:
        loop.close()
    assert alive
    assert every_s * times <= 30


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("host", ["valkey..internal", "xn--\xfc"])
def test_a_name_that_no_host_has_is_a_failed_connection(host: str, new_loop: type[asyncio.AbstractEventLoop]) -> None:
    """A sentinel or a cluster may say one, whatever the setting's parser refuses."""
    with asyncio.Runner(loop_factory=new_loop) as runner, pytest.raises(OSError, match="no host has the name"):
        runner.run(connect(Address(host), timeout_s=1))


@pytest.mark.parametrize("when", ["at the start", "later"])
async def test_an_unexpected_error_is_logged_and_tried_again(
    own_valkey: ValkeyProcess, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    """Whatever nobody thought of: the node says so, and is back with the store when it is over."""
    breaks = when == "at the start"

    async def find() -> Address:
        if breaks:
            raise LookupError("nobody thought of this")
        return own_valkey.address

    async def greet(_connection: Connection) -> None:
        """Nothing to prepare."""

    link = Link(find, greet, recheck_s=0.05)
    try:
        assert await link.start() is not breaks
        breaks = True
        await until(lambda: "nobody thought of this" in caplog.text and link.connection is None)
        breaks = False
        await until(lambda: link.connection is not None)
    finally:
        await link.stop()
    assert "limits are kept by this node alone" in caplog.text
    assert "Valkey answers again" in caplog.text
