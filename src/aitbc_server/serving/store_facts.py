"""What Valkey servers say of themselves, and whether they permit what nodes ask: hosted ones often forbid CONFIG."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median
from time import monotonic, time
from typing import Any, NamedTuple

from aitbc_server.gate.lua import lua
from aitbc_server.valkey import info
from aitbc_server.valkey.connection import Address, Connection, ConnectionLostError, RefusedError, connect
from aitbc_server.valkey.link import FAULTS
from aitbc_server.valkey.scripts import Script
from aitbc_server.valkey.sentinel import Sentinels
from aitbc_server.valkey.slots import SLOTS, shares
from aitbc_server.valkey.urls import Target

_TIMEOUT_S = 2.0
_PINGS = 15
# Nobody's state: tenants have no such name.
_TRIED_KEY = "aitbc:1:{permitted}"
_NOT_PERMITTED = "NOPERM"


class Facts(NamedTuple):
    """One server. ``clock_ahead_s`` is its clock minus this machine's, to within half of ``latency_s``.

    ``eviction`` is as ``info.eviction`` has it.
    """

    name: str
    product: str
    version: tuple[int, ...]
    is_primary: bool
    eviction: str
    memory_used: int
    memory_most: int
    appends: bool
    disk_fault: str
    replicas: int
    replicas_lagging: int
    needs_replicas: bool
    is_in_cluster: bool
    clock_ahead_s: float
    latency_s: float


async def servers(target: Target) -> list[Address]:
    """The servers that take changes. Raises as ``read``, and ConnectionLostError where nobody knows of any."""
    if target.kind == "single":
        return list(target.seeds)
    if target.kind == "sentinel":
        sentinels = Sentinels(target, timeout_s=_TIMEOUT_S)
        try:
            return [await sentinels.master()]
        finally:
            sentinels.close()
    fault: Exception = ConnectionLostError("it names no server")
    for seed in target.seeds:
        try:
            return await _masters(seed)
        except FAULTS as error:
            fault = error
    raise fault


async def _masters(seed: Address) -> list[Address]:
    async with _connected(seed) as connection:
        known = list(shares(await connection.call("CLUSTER", "SLOTS"), seed))
    missing = SLOTS - sum(each.last - each.first + 1 for each in known)
    if missing:
        raise ConnectionLostError(f"{missing} of the cluster's {SLOTS} slots have no server")
    return list(dict.fromkeys(each.master for each in known))


async def read(address: Address) -> Facts:
    """Ask the server there. Raises what ``connect`` and ``Connection.call`` raise, within seconds."""
    async with _connected(address) as connection:
        facts = await _ask(connection, address)
        if facts.is_primary:
            await _ensure_permitted(connection)
        return facts


async def stops_as_one(address: Address) -> bool | None:
    """Whether all of a cluster takes nothing while a slot has no server; None where this user may not ask.

    Raises as ``read``. That the user may not ask is no fault: who reads settings reads passwords.
    """
    async with _connected(address) as connection:
        try:
            answer = await connection.call("CONFIG", "GET", "cluster-require-full-coverage")
        except RefusedError:
            return None
    return bool(answer[1:] == [b"yes"]) if answer else None


@asynccontextmanager
async def _connected(address: Address) -> AsyncIterator[Connection]:
    """A connection of one's own, for so long as one may ask on it."""
    connection = await connect(address, timeout_s=_TIMEOUT_S)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            yield connection
    finally:
        connection.close()


async def _ensure_permitted(connection: Connection) -> None:
    """Raises RefusedError, of the kind NOPERM, where the user may not do everything that nodes do."""
    script = Script(lua("permitted.lua"))
    tried: tuple[Callable[[], Awaitable[Any]], ...] = (
        lambda: connection.call("SCAN", 0, "COUNT", 1),
        lambda: connection.call("WAIT", 0, 1),
        lambda: script.load(connection),
        lambda: connection.call("EVAL", script.text, 1, _TRIED_KEY),
        lambda: script.call(connection, [_TRIED_KEY]),
        lambda: connection.call("ASKING"),
    )
    for attempt in tried:
        try:
            await attempt()
        except RefusedError as error:
            # Other errors are of the moment: a slot that another server has, a full memory. They are found elsewhere.
            if error.kind == _NOT_PERMITTED:
                raise
            _, failed, why = str(error).partition("ACL failure in script: ")
            if failed:
                raise RefusedError(f"{_NOT_PERMITTED} {why}") from error


async def _ask(connection: Connection, address: Address) -> Facts:
    fields = await info.read(connection, "server", "memory", "persistence", "replication", "cluster")
    took_s = []
    for _ in range(_PINGS):
        began_s = monotonic()
        await connection.call("PING")
        took_s.append(monotonic() - began_s)
    asked_s = time()
    seconds, microseconds = await connection.call("TIME")
    here_s = (asked_s + time()) / 2
    valkey = fields.get("valkey_version")
    text = valkey or fields.get("redis_version", "0")
    replicas = [value for name, value in fields.items() if name.startswith("slave") and "state=" in value]
    return Facts(
        name=address.name,
        product=f"{'Valkey' if valkey else 'Redis'} {text}",
        version=tuple(int(part) for part in text.split(".") if part.isdigit()),
        is_primary=info.is_master(fields),
        eviction=info.eviction(fields),
        memory_used=int(fields.get("used_memory", 0)),
        memory_most=int(fields.get("maxmemory", 0)),
        appends=fields.get("aof_enabled") == "1",
        disk_fault=_disk_fault(fields),
        replicas=len(replicas),
        replicas_lagging=sum("state=online" not in each or _lag_s(each) > 1 for each in replicas),
        needs_replicas="min_slaves_good_slaves" in fields,
        is_in_cluster=fields.get("cluster_enabled") == "1",
        clock_ahead_s=int(seconds) + int(microseconds) / 1e6 - here_s,
        latency_s=median(took_s),
    )


def _disk_fault(fields: dict[str, str]) -> str:
    """Which of its ways to keep data on disk failed the last time; empty: none."""
    names = {"aof_last_write_status": "the append-only file", "rdb_last_bgsave_status": "a snapshot"}
    return " and ".join(what for name, what in names.items() if fields.get(name, "ok") != "ok")


def _lag_s(replica: str) -> int:
    """Of ``ip=127.0.0.1,port=6380,state=online,offset=14,lag=1``."""
    fields = dict(part.partition("=")[::2] for part in replica.split(","))
    return int(fields.get("lag", 0))
