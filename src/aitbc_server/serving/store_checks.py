"""Whether the Valkey that nodes share is set up so that the promises hold."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

from aitbc_server.gate import whose
from aitbc_server.serving import store_facts
from aitbc_server.serving.errors import StartError
from aitbc_server.serving.findings import Finding, Level
from aitbc_server.serving.store_facts import Facts
from aitbc_server.valkey import urls
from aitbc_server.valkey.connection import Address, Connection, ConnectionLostError, RefusedError, connect
from aitbc_server.valkey.link import FAULTS

#: Older ones do not run scripts that read the clock and write.
OLDEST = (6, 2)
_SLOW_S = 0.005
_CLOCK_TOLERANCE_S = 1.0
_NEARLY_FULL = 0.9
_FAULTS = (*FAULTS, ValueError)
_ADVICE = {
    "WRONGPASS": "AITBC_VALKEY_URL has the user and the password: valkey://user:password@host:6379",
    "NOAUTH": "AITBC_VALKEY_URL has the password: valkey://:password@host:6379",
    "NOPERM": "the user needs more rights: docs/how-to/keep-valkey-available.md has the line with all of them",
}
_OWN_ONE = (
    "name this installation's own Valkey with AITBC_VALKEY_URL, or a database of its own there, such as"
    " valkey://host:6379/1. Where the other one is given up: docs/how-to/keep-valkey-available.md"
)
_TIMEOUT_S = 2.0
_NOT_REACHED = "start it, or name the right one with AITBC_VALKEY_URL; until then each node keeps limits by itself"

T = TypeVar("T")


async def ensure_fit(url: str) -> None:
    """Refuse a Valkey that would break promises in silence. Raises StartError.

    One that does not answer is no reason not to start: the node goes on by itself, says so, and tries again.
    """
    try:
        for address in await store_facts.servers(urls.parse(url)):
            facts = await store_facts.read(address)
            for finding in (_version(facts), _eviction(facts)):
                if finding.level is Level.FAIL:
                    raise StartError(f"Valkey cannot be used: {finding.detail}", hint=finding.remedy)
    except RefusedError as error:
        if error.kind in _ADVICE:
            raise StartError(f"Valkey refuses this server: {error}", hint=_ADVICE[error.kind]) from error
    except _FAULTS:
        return


async def ensure_ours(url: str, installation_id: str) -> None:
    """Refuse a Valkey that is another installation's; one that is nobody's is this one's afterwards. Raises StartError.

    As above, one that does not answer is no reason not to start: a node looks before it uses it.
    """
    try:
        found = await _at_one(url, lambda connection, at: whose.claim(connection, at, installation_id))
    except _FAULTS:
        return
    if found not in {None, installation_id}:
        raise StartError(f"Valkey cannot be used: {_others(found, installation_id)}", hint=_OWN_ONE)


async def hand_over(url: str, before: str, after: str) -> None:
    """The installation ``before`` has become ``after``, and so has its Valkey, if it is that one's.

    Where it does not answer it stays as it is, which whoever starts a server reads.
    """
    with contextlib.suppress(*_FAULTS):
        await _at_one(url, lambda connection, at: whose.hand_over(connection, at, before, after))


async def examine_owner(url: str, installation_id: str) -> Finding:
    """Whose limits, fences and counts it holds."""
    what = "Valkey owner"
    try:
        found = await _at_one(url, whose.owner)
    except _FAULTS as error:
        return Finding(Level.WARN, what, f"cannot be told: {error or 'no answer in time'}", "see above")
    if found is None:
        return Finding(Level.OK, what, "nobody yet: it will be the first server's that starts")
    if found != installation_id:
        return Finding(Level.FAIL, what, _others(found, installation_id), _OWN_ONE)
    return Finding(Level.OK, what, f"this installation, {whose.short(found)}")


def _others(found: str | None, installation_id: str) -> str:
    others, ours = whose.short(found or ""), whose.short(installation_id)
    return f"it holds the limits and counts of another installation ({others}; this one is {ours})"


async def _at_one(url: str, ask: Callable[[Connection, Address], Awaitable[T]]) -> T:
    """What the first server says that can; of a cluster any one does. Raises ``_FAULTS``."""
    fault: Exception = ConnectionLostError("it names no server")
    for address in await store_facts.servers(urls.parse(url)):
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                connection = await connect(address, timeout_s=_TIMEOUT_S)
                try:
                    return await ask(connection, address)
                finally:
                    connection.close()
        except FAULTS as error:
            fault = error
    raise fault


async def examine(url: str) -> AsyncIterator[Finding]:
    """Each server that the address leads to, in the order in which one would look."""
    target = urls.parse(url)
    try:
        addresses = await store_facts.servers(target)
    except _FAULTS as error:
        yield _unreachable(", ".join(each.name for each in target.seeds), error)
        return
    for address in addresses:
        async for finding in _examine(address):
            yield finding if len(addresses) == 1 else finding.about(address.name)


async def _examine(address: Address) -> AsyncIterator[Finding]:
    try:
        facts = await store_facts.read(address)
        stops_as_one = await store_facts.stops_as_one(address) if facts.is_in_cluster else None
    except _FAULTS as error:
        yield _unreachable(address.name, error)
        return
    for finding in _findings(facts):
        yield finding
    if facts.is_in_cluster:
        yield _cluster(stops_as_one)


def _unreachable(name: str, error: Exception) -> Finding:
    said = str(error) or "no answer in time"
    advice = _ADVICE.get(error.kind, _NOT_REACHED) if isinstance(error, RefusedError) else _NOT_REACHED
    return Finding(Level.FAIL, "Valkey", f"{name} does not answer: {said}", advice)


def _findings(facts: Facts) -> Iterator[Finding]:
    yield _version(facts)
    yield _eviction(facts)
    yield _persistence(facts)
    yield _replication(facts)
    yield _clock(facts)


def _version(facts: Facts) -> Finding:
    if facts.version < OLDEST:
        return Finding(Level.FAIL, "Valkey", f"{facts.product} is too old", "use Valkey 7.2 or newer, or Redis 6.2")
    took = f"{facts.product} on {facts.name} answers in {facts.latency_s * 1000:.2g} ms"
    if facts.latency_s > _SLOW_S:
        return Finding(Level.WARN, "Valkey", took, "every request waits for it: put nodes and Valkey into one network")
    return Finding(Level.OK, "Valkey", took)


def _eviction(facts: Facts) -> Finding:
    what = "Valkey memory"
    if facts.eviction:
        detail = f"maxmemory-policy is {facts.eviction}: it may drop limits, counts and revocations"
        return Finding(Level.FAIL, what, detail, "CONFIG SET maxmemory-policy noeviction, and the same in its file")
    if not facts.memory_most:
        return Finding(Level.OK, what, f"{_mib(facts.memory_used)} in use, nothing is evicted, no maxmemory")
    share = facts.memory_used / facts.memory_most
    detail = f"{_mib(facts.memory_used)} of {_mib(facts.memory_most)} in use, nothing is evicted"
    if share > _NEARLY_FULL:
        return Finding(Level.WARN, what, detail, "raise maxmemory: when it is full, each node keeps limits by itself")
    return Finding(Level.OK, what, detail)


def _persistence(facts: Facts) -> Finding:
    what = "Valkey on disk"
    if facts.disk_fault:
        detail = f"writing {facts.disk_fault} failed"
        return Finding(
            Level.FAIL, what, detail, "see its log and its disk: it may refuse all changes until it can write"
        )
    if not facts.appends:
        detail = "it keeps no append-only file: after its restart every limit begins anew"
        return Finding(Level.WARN, what, detail, "appendonly yes, appendfsync everysec")
    return Finding(Level.OK, what, "it keeps an append-only file")


def _replication(facts: Facts) -> Finding:
    what = "Valkey replicas"
    if not facts.is_primary:
        return Finding(Level.FAIL, what, f"{facts.name} is itself a replica", "name the primary, or its sentinels")
    if not facts.replicas:
        return Finding(Level.OK, what, "there are none: while it is away, each node keeps limits by itself")
    if facts.replicas_lagging:
        detail = f"{facts.replicas_lagging} of {facts.replicas} lag behind by more than a second"
        return Finding(
            Level.WARN, what, detail, "changes answer 202 until all have them: see the network and their logs"
        )
    if not facts.needs_replicas:
        detail = f"{facts.replicas} follow it, but it goes on without them: after a split two primaries count"
        return Finding(Level.WARN, what, detail, "min-replicas-to-write 1, min-replicas-max-lag 1")
    return Finding(Level.OK, what, f"{facts.replicas} follow it, and it takes nothing when they do not")


def _cluster(stops_as_one: bool | None) -> Finding:
    what = "Valkey cluster"
    if stops_as_one is None:
        detail = "this user may not ask whether it has cluster-require-full-coverage no, as it should have"
        return Finding(Level.OK, what, detail)
    if stops_as_one:
        detail = "while one master has no successor, no other takes anything: each node keeps all limits by itself"
        return Finding(Level.WARN, what, detail, "cluster-require-full-coverage no, on every server")
    return Finding(Level.OK, what, "a master that is away leaves its own tenants alone and no others")


def _clock(facts: Facts) -> Finding:
    ahead = facts.clock_ahead_s
    if abs(ahead) > _CLOCK_TOLERANCE_S:
        detail = f"it is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
        return Finding(Level.WARN, "Valkey clock", detail, "keep both machines in time (chrony, ntpd)")
    return Finding(Level.OK, "Valkey clock", f"it agrees with this machine's to {abs(ahead) * 1000:.0f} ms")


def _mib(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
