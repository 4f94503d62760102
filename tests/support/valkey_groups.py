"""Real Valkey servers in groups: a master with its replica and sentinels, and a cluster."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hiredis
from tests.support.valkey import ValkeyProcess, free_port

from aitbc_server.valkey.slots import SLOTS

_SET_UP_S = 20.0

#: What a replica needs to follow at once, and what lets a failover take one second and not thirty.
QUICK = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")


Command = tuple[str | int, ...]


def converse(server: ValkeyProcess, *commands: Command, password: str = "") -> list[Any]:
    """Commands on one connection of their own, and their answers. Errors are returned, not raised."""
    reader = hiredis.Reader()
    sign_in: list[Command] = [("AUTH", password)] if password else []
    answers = []
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        for command in [*sign_in, *commands]:
            connection.sendall(hiredis.pack_command(command))  # type: ignore[arg-type]
            while (answer := reader.gets()) is False:
                data = connection.recv(65536)
                if not data:
                    raise ConnectionError("closed")
                reader.feed(data)
            answers.append(answer)
    return answers[len(sign_in) :]


def ask(server: ValkeyProcess, *parts: str | int, password: str = "") -> Any:
    """One command."""
    return converse(server, parts, password=password)[0]


def replicates(server: ValkeyProcess, key: str, password: str = "") -> bool:
    """Whether its replica has what is changed now: one that is online gets it up to a second later at first."""
    return converse(server, ("SET", key, 1, "EX", 1), ("WAIT", 1, 500), password=password) == [b"OK", 1]


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for it. Raises AssertionError after 20 s."""
    deadline = time.monotonic() + _SET_UP_S
    while True:
        try:
            if holds():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"{what}: did not come about"
        time.sleep(0.02)


def _as_it_is(port: int) -> int:
    return port


class Watched:
    """A master, a replica and three sentinels that agree when two do.

    ``front`` says on which port others reach the server of a port.
    """

    name = "store"

    def __init__(self, folder: Path, *, password: str = "", front: Callable[[int], int] | None = None) -> None:
        self.password = password
        self._front = front or _as_it_is
        options = [*QUICK, *(("--requirepass", password, "--masterauth", password) if password else ())]
        self.servers: list[ValkeyProcess] = []
        for name in ("a", "b"):
            port = free_port()
            follows = ("--replicaof", "127.0.0.1", str(self._front(self.servers[0].port))) if self.servers else ()
            known = ("--replica-announce-port", str(self._front(port)))
            self.servers.append(ValkeyProcess(folder / name, *options, *known, *follows, port=port))
        until(lambda: replicates(self.servers[0], "probe", password), "replication")
        self.sentinels = [self._sentinel(folder / f"s{number}") for number in range(3)]
        until(lambda: all(self._is_complete(each) for each in self.sentinels), "sentinels")

    def ask(self, server: ValkeyProcess, *parts: str | int) -> Any:
        """One command to a server."""
        return ask(server, *parts, password=self.password)

    @property
    def url(self) -> str:
        """Where it is, as a setting."""
        hosts = ",".join(f"127.0.0.1:{self._front(each.port)}" for each in self.sentinels)
        credentials = f":{self.password}@" if self.password else ""
        return f"valkey+sentinel://{credentials}{hosts}/{self.name}"

    def master_port(self) -> int:
        """Where the sentinels say that the master is: the last of them, which no test hangs."""
        return int(ask(self.sentinels[-1], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)[1])

    def master(self) -> ValkeyProcess:
        """The server that the sentinels name."""
        port = self.master_port()
        [server] = [each for each in self.servers if self._front(each.port) == port]
        return server

    def is_led(self) -> bool:
        """Whether the server that the sentinels name takes changes."""
        return b"role:master" in self.ask(self.master(), "INFO", "replication")

    def hand_over(self) -> None:
        """Let the replica take over from a master that lives."""
        until(lambda: ask(self.sentinels[-1], "SENTINEL", "FAILOVER", self.name) == b"OK", "a failover by hand")

    def mend(self) -> None:
        """Start what a test has ended, and wait until the master has its replica again and sentinels agree."""
        for each in self.servers:
            each.revive()
        until(self._is_followed, "replication")
        # Two are enough for a failover; the first may have been hung, and mistrusts its clock for a while.
        until(lambda: all(self._sees_all_well(each) for each in self.sentinels[1:]), "sentinels")

    def close(self) -> None:
        """End them all."""
        for each in (*self.sentinels, *self.servers):
            each.close()

    def _sentinel(self, folder: Path) -> ValkeyProcess:
        folder.mkdir(parents=True)
        port = free_port()
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {folder}",
            f"logfile {folder / 'valkey.log'}",
            f"sentinel monitor {self.name} 127.0.0.1 {self._front(self.servers[0].port)} 2",
            f"sentinel down-after-milliseconds {self.name} 500",
            f"sentinel failover-timeout {self.name} 1000",
            *([f"sentinel auth-pass {self.name} {self.password}"] if self.password else []),
        ]
        configuration = folder / "sentinel.conf"
        configuration.write_text("\n".join(lines) + "\n")
        return ValkeyProcess(folder, port=port, configuration=configuration)

    def _is_complete(self, sentinel: ValkeyProcess) -> bool:
        facts = ask(sentinel, "SENTINEL", "MASTER", self.name)
        pairs = dict(zip(facts[::2], facts[1::2], strict=True))
        return (pairs[b"num-other-sentinels"], pairs[b"num-slaves"]) == (b"2", b"1")

    def _is_followed(self) -> bool:
        if not self.is_led():
            return False
        master = self.master()
        [other] = [each for each in self.servers if each is not master]
        if b"role:master" in self.ask(other, "INFO", "replication"):
            # Sentinels see to that too, ten seconds later.
            self.ask(other, "REPLICAOF", "127.0.0.1", self._front(master.port))
        return replicates(master, "probe", self.password)

    def _sees_all_well(self, sentinel: ValkeyProcess) -> bool:
        facts = ask(sentinel, "SENTINEL", "MASTER", self.name)
        master = dict(zip(facts[::2], facts[1::2], strict=True))
        replicas = ask(sentinel, "SENTINEL", "REPLICAS", self.name)
        flags = [dict(zip(each[::2], each[1::2], strict=True))[b"flags"] for each in replicas]
        return (master[b"flags"], flags) == (b"master", [b"slave"])


# In slot 1, which is the first master's.
_IN_FIRST = "probe{22179}"


class ValkeyCluster:
    """Three masters, the first with a replica; ``front`` is as with ``Watched``."""

    def __init__(
        self, folder: Path, *options: str, password: str = "", front: Callable[[int], int] | None = None
    ) -> None:
        self.password = password
        self._front = front or _as_it_is
        self._bus_ports: list[int] = []
        signs_in = ("--requirepass", password, "--masterauth", password) if password else ()
        # A master without a replica that is gone must not stop the others.
        partly = ("--cluster-require-full-coverage", "no")
        own = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", *partly, *QUICK, *signs_in, *options)
        self.servers: list[ValkeyProcess] = []
        for number in range(4):
            port, bus_port = free_port(), free_port()
            more = ("--cluster-port", str(bus_port), "--cluster-announce-port", str(self._front(port)))
            self.servers.append(ValkeyProcess(folder / f"n{number}", *own, *more, port=port))
            self._bus_ports.append(bus_port)
        self._join()

    @property
    def first(self) -> ValkeyProcess:
        """The master that has a replica."""
        return self.owner(0)

    @property
    def masters(self) -> list[ValkeyProcess]:
        """Those that have slots."""
        return [self.first, *self.servers[1:3]]

    @property
    def replica(self) -> ValkeyProcess:
        """The first master's."""
        first = self.first
        return next(each for each in (self.servers[0], self.servers[3]) if each is not first)

    @property
    def url(self) -> str:
        """Where it is, as a setting."""
        credentials = f":{self.password}@" if self.password else ""
        return f"valkey+cluster://{credentials}" + ",".join(
            f"127.0.0.1:{self._front(each.port)}" for each in self.servers[:2]
        )

    def ask(self, server: ValkeyProcess, *parts: str | int) -> Any:
        """One command to a server."""
        return ask(server, *parts, password=self.password)

    def owner(self, slot: int) -> ValkeyProcess:
        """The master that has a slot, as one says that no test ends."""
        return next(server for server, slots in self._shares() if slot in slots)

    def slots(self, server: ValkeyProcess) -> set[int]:
        """What a master has now."""
        return {slot for each, slots in self._shares() if each is server for slot in slots}

    def calls(self, server: ValkeyProcess, command: str) -> int:
        """How often a command was called."""
        info = self.ask(server, "INFO", "commandstats").decode()
        lines = [line for line in info.splitlines() if line.startswith(f"cmdstat_{command}:")]
        return sum(int(line.partition("calls=")[2].partition(",")[0]) for line in lines)

    def begin_move(self, slot: int, source: ValkeyProcess, target: ValkeyProcess) -> None:
        """A slot is on its way, key by key: the way of Valkey 8 and Redis."""
        assert self.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.id(source)) == b"OK"
        assert self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.id(target)) == b"OK"

    def move_keys(self, slot: int, source: ValkeyProcess, target: ValkeyProcess) -> None:
        """All keys that the slot has are at the target now."""
        while keys := self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 1):
            self.ask(source, "MIGRATE", "127.0.0.1", target.port, keys[0].decode(), 0, 1000)

    def end_move(self, slot: int, source: ValkeyProcess, target: ValkeyProcess) -> None:
        """The slot has arrived."""
        for each in (target, source):
            assert self.ask(each, "CLUSTER", "SETSLOT", slot, "NODE", self.id(target)) == b"OK"
        until(lambda: self.owner(slot) is target, "a slot that has moved")

    def mend(self) -> None:
        """Start what a test has ended, and wait until all is well again."""
        for each in self.servers:
            each.revive()
        until(lambda: all(b"cluster_state:ok" in self.ask(each, "CLUSTER", "INFO") for each in self.servers), "health")
        until(lambda: self.first is not self.replica and replicates(self.first, _IN_FIRST, self.password), "a replica")

    def _shares(self) -> list[tuple[ValkeyProcess, range]]:
        by_port = {self._front(each.port): each for each in self.servers}
        answer = self.ask(self.servers[1], "CLUSTER", "SLOTS")
        return [(by_port[int(master[1])], range(first, last + 1)) for first, last, master, *_ in answer]

    def id(self, server: ValkeyProcess) -> str:
        """Its name in the cluster."""
        return str(self.ask(server, "CLUSTER", "MYID").decode())

    def close(self) -> None:
        """End them all."""
        for each in self.servers:
            each.close()

    def _join(self) -> None:
        first = self.servers[0]
        share = -(-SLOTS // 3)
        for number, master in enumerate(self.servers[:3]):
            last = min((number + 1) * share, SLOTS) - 1
            assert self.ask(master, "CLUSTER", "ADDSLOTSRANGE", number * share, last) == b"OK"
            self.ask(master, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for other in self.servers[1:]:
            assert self.ask(other, "CLUSTER", "MEET", "127.0.0.1", first.port, self._bus_ports[0]) == b"OK"
        until(lambda: all(self._known(each) == 4 for each in self.servers), "a cluster of four")
        assert self.ask(self.servers[3], "CLUSTER", "REPLICATE", self.id(first)) == b"OK"
        until(lambda: all(b"cluster_state:ok" in self.ask(each, "CLUSTER", "INFO") for each in self.servers), "health")
        until(lambda: replicates(first, _IN_FIRST, self.password), "replication")

    def _known(self, server: ValkeyProcess) -> int:
        text = self.ask(server, "CLUSTER", "NODES").decode()
        return sum("handshake" not in line for line in text.splitlines())
